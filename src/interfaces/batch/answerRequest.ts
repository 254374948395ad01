// From a request to its answer: the server's own handling of it, without HTTP. What is wrong with a request is an
// answer; what is wrong with the machine is thrown. Owns which of the two an error is.

import { MixtralError } from '../../base/errors.js'
import { inSlices } from '../../base/timeSlice.js'
import { ApiError, openaiError, toApiError, unsupported } from '../server/apiError.js'
import { requestedChat } from '../server/openai/chat.js'
import { requestedCompletion } from '../server/openai/completions.js'
import { requestedEmbeddings } from '../server/openai/embeddings.js'
import { scoresOf } from '../server/openai/promptScores.js'
import { commonAsked } from '../server/security/asked.js'
import { checkTextLength } from '../server/security/textLength.js'
import type { ServedModel } from '../server/servedModel.js'
import { type AnswerCall, type AnswerRun, answerEvents, type Outcome } from '../server/streams/answerRuns.js'
import type { Requested } from '../server/streams/respond.js'
import type { KeyedRequest } from './batchModel.js'
import type { BatchAnswer } from './resultLine.js'

interface Answering {
  readonly signal: AbortSignal
  /** The tokens of each answer, where answers are checked in place of being written. */
  readonly expected?: readonly (readonly number[])[]
  /** The part of the KV cache for the `cache_salt` of a request. Default: the one of that salt. */
  readonly saltOf?: SaltOf | undefined
}

export type SaltOf = (cacheSalt: string | undefined) => string | undefined

/** Throws what is wrong with the machine, `MODEL` for logits that are no numbers, `ABORTED` and `CLOSED`. */
export async function answerRequest(asked: KeyedRequest, served: ServedModel, answering: Answering): Promise<BatchAnswer> {
  let requested: Requested | undefined
  try {
    const { saltOf = (own) => own } = answering
    const salt = saltOf(commonAsked(asked.body, new Headers()).cacheSalt)
    requested = await requestedOf(asked, served, answering.signal)
    const { runs, wire } = requested
    const width = served.model.status().sequences
    const call = { signal: answering.signal, onAccepted: () => {}, ...(salt !== undefined && { salt }) }
    const outcomes = await outcomesOf(expecting(runs, answering.expected), wire, width, call)
    const tokens = outcomes.every(({ vector }) => vector) ? [] : outcomes.map(({ ids }) => ids)
    return { status: 200, body: wire.whole(outcomes), tokens, ...countsOf(outcomes) }
  } catch (error) {
    const told = toApiError(error, requested?.wire.wireNames)
    if (told.status >= 499) throw error
    return { status: told.status, body: openaiError(told), tokens: [], promptTokens: 0, newTokens: 0 }
  }
}

/** Throws an ApiError, and a MixtralError, for what is wrong with the request. */
async function requestedOf({ url, body, name }: KeyedRequest, served: ServedModel, signal: AbortSignal): Promise<Requested> {
  if (body.stream) throw unsupported('stream is not supported in batches: an answer is a line', 'stream')
  if (body.timeout !== undefined && body.timeout !== null) {
    throw unsupported('timeout is not supported in batches: results must not depend on the clock', 'timeout')
  }
  checkTextLength(url, body, served.model)
  const known = { ...served, name, aliases: [] } // whose names have been checked for the whole file
  if (url === '/v1/chat/completions') return requestedChat(body, known, signal)
  if (url === '/v1/embeddings') return requestedEmbeddings(body, known, signal)
  return requestedCompletion(body, known, scoresOf(served.model), signal)
}

/** The runs, which check the expected answers where there are some. */
function expecting(runs: readonly AnswerRun[], expected: Answering['expected']): readonly AnswerRun[] {
  if (!expected?.length) return runs
  if (expected.length !== runs.length) {
    throw new ApiError(400, `the line has the tokens of ${expected.length} answers, expected ${runs.length}`)
  }
  return runs.map((run, i) => (call) => run({ ...call, expected: expected[i]! }))
}

async function outcomesOf(runs: readonly AnswerRun[], wire: Requested['wire'], width: number, call: AnswerCall): Promise<Outcome[]> {
  const events = answerEvents(runs, width, call)
  for (;;) {
    const { done, value } = await events.next()
    if (done) return value
    if (wire.prepare) await inSlices(wire.prepare(value), call.signal)
    wire.learn?.(value)
  }
}

function countsOf(outcomes: readonly Outcome[]): Pick<BatchAnswer, 'promptTokens' | 'newTokens'> {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((sum, outcome) => sum + of(outcome), 0)
  return { promptTokens: sum(({ promptTokens }) => promptTokens), newTokens: sum(({ ids }) => ids.length) }
}

/** Whether another attempt may go better. */
export function isWorthRetrying(error: unknown): boolean {
  return !(error instanceof MixtralError && ['ABORTED', 'CLOSED', 'MODEL'].includes(error.code))
}
