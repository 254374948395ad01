import { expect, test } from 'vitest'
import { MixtralError } from '../../../dist/index.js'
import { ApiError, llamaError, openaiError, toApiError } from '../../../dist/interfaces/server/apiError.js'

test('the counts of a prompt that is too long are those of the error, whatever its words are', () => {
  const error = new MixtralError('CONTEXT', 'it does not fit: 7 tokens, the context has room for 8', {
    promptTokens: 600,
    contextLength: 512,
  })
  const counts = { n_prompt_tokens: 600, n_ctx: 512 }
  const told = toApiError(error)
  expect(openaiError(told)).toMatchObject({ error: { code: 'context_length_exceeded', message: error.message, ...counts } })
  expect(llamaError(told)).toMatchObject({ error: { code: 400, type: 'exceed_context_size_error', ...counts } })
  const without = toApiError(new MixtralError('CONTEXT', '7 tokens, the context has room for 8'))
  expect(llamaError(without)).toEqual({ error: { code: 400, message: without.message, type: 'invalid_request_error' } })
})

test.each([409, 500, 501, 504, 507])('what fails with %i would fail again: clients are told', (status) => {
  expect(new ApiError(status, 'x').headers).toEqual({ 'x-should-retry': 'false' })
})
