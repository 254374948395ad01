// Embeddings as requests ask for them: checked before anything runs, computed beside all else, and never streamed.

import type { Steps } from '../../../base/timeSlice.js'
import { stepsOf } from '../../../text/tokenizer/tokenizer.js'
import { type ApiError, badRequest, type ErrorShape } from '../apiError.js'
import { checkRoom, checkVocabulary } from '../security/asked.js'
import type { ServedModel } from '../servedModel.js'
import { type AnswerRun, type Outcome, readOnly, silentRun } from './answerRuns.js'
import type { Wire } from './respond.js'

/** How inputs are embedded. */
interface Embedding {
  /** Whether an input that is too long is cut. */
  readonly cuts?: boolean
  /** How much of each adapter counts. */
  readonly adapters?: readonly number[]
}

/** Most inputs of a request, as in the OpenAI API. */
const MOST_INPUTS = 2048

/**
 * A run for each input. Throws an ApiError 400 for an id outside the vocabulary, and with both counts for an input that
 * is too long, unless it is to be cut; an OPTION for adapters that the model has not.
 */
export function* embeddingRuns(
  inputs: readonly (string | readonly number[])[],
  { model }: ServedModel,
  { cuts = false, adapters }: Embedding = {},
): Steps<AnswerRun[]> {
  const { tokenizer, contextLength } = model
  if (inputs.length > MOST_INPUTS) throw badRequest(`${inputs.length} inputs, expected at most ${MOST_INPUTS}`, 'input')
  const runs: AnswerRun[] = []
  for (const input of inputs) {
    yield
    const all = typeof input === 'string' ? yield* stepsOf(tokenizer).encode(input) : input
    checkVocabulary(all, tokenizer.vocabSize, 'input')
    const ids = cuts ? all.slice(0, contextLength) : all
    checkRoom(ids.length, contextLength, contextLength, 'input')
    const run = silentRun(async (call) => {
      const started = performance.now()
      const { vector, tokens } = await model.embed(ids, { ...call, ...(adapters && { adapters }) })
      return { ...readOnly(tokens, (performance.now() - started) / 1000), vector }
    })
    runs.push(run)
  }
  return runs
}

/** The wire of an answer that is never streamed. */
export function wholeWire(
  shape: ErrorShape,
  whole: (outcomes: readonly Outcome[]) => object,
  wireNames: Wire['wireNames'] = new Map(),
): Wire {
  return {
    contentType: 'application/json',
    begin: '',
    ping: '',
    event: () => '',
    end: () => '',
    error: (error: ApiError) => JSON.stringify(shape(error)),
    errorBody: shape,
    whole,
    wireNames,
  }
}
