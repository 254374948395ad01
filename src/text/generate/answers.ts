// Runs generations: one answer to a prompt, or several at the same time, whose pieces come as they are written. Owns
// how answers share options; what one answer is, generation.ts knows.

import type { Engine } from '../../runtime/engine/engine.js'
import type { ChatRequest } from './chatRequest.js'
import { type CheckedOptions, checkGenerationOptions } from './checkGenerationOptions.js'
import { Generation, type GenerationModel } from './generation.js'
import type { GenerationOptions } from './generationOptions.js'
import type { GenerationResult, Piece } from './generationResult.js'
import { withDefaults } from './modelDefaults.js'
import type { ModelParts } from './modelParts.js'
import { toolAnswer } from './toolAnswer.js'

/**
 * Writes one answer, or `n` of them, beside all other calls. It begins with the first piece that is asked for; leaving
 * the loop ends all. The answers' prompt is computed once.
 */
export async function* writeAnswers(
  model: GenerationModel,
  { engine, extras }: ModelParts,
  prompt: () => readonly number[],
  given: GenerationOptions,
  request?: ChatRequest,
): AsyncGenerator<Piece, GenerationResult> {
  const options = withDefaults(extras?.defaults.options ?? {}, given)
  const first = checkGenerationOptions(options)
  const ids = prompt()
  const begin = async (checked: CheckedOptions) => {
    const answer = request?.tools && (await toolAnswer(request.prompt, request.tools, checked))
    return Generation.begin(model, ids, checked, answer)
  }
  const generations = [await begin(first)]
  for (let i = 1; i < first.n; i++) {
    const next = checkGenerationOptions(nextOptions(options, i))
    generations.push(await begin({ ...next, constraint: first.constraint })) // compiled once
  }
  first.onAccepted?.()
  const streams = generations.map((generation) => run(engine, generation, first.signal))
  return yield* streams.length === 1 ? streams[0]! : together(streams)
}

/** Reads a stream to its end: the result. */
export async function finish<T>(pieces: AsyncGenerator<Piece, T>): Promise<T> {
  for (;;) {
    const { done, value } = await pieces.next()
    if (done) return value
  }
}

/** Runs a generation from now on, and yields its pieces. Leaving the loop ends it. */
async function* run(engine: Engine, generation: Generation, signal: AbortSignal | undefined): AsyncGenerator<Piece, GenerationResult> {
  const request = engine.submit(generation, signal)
  generation.pieces.onRoom = request.wake
  try {
    yield* generation.pieces
    return generation.result()
  } finally {
    request.end()
  }
}

/** The pieces of all streams as they come; the results when all have ended. An error of one ends all. */
async function* together(streams: readonly AsyncGenerator<Piece, GenerationResult>[]): AsyncGenerator<Piece, GenerationResult> {
  const next = async (index: number) => ({ index, ...(await streams[index]!.next()) })
  const coming = new Map(streams.map((_, index) => [index, next(index)]))
  const choices: GenerationResult[] = []
  try {
    while (coming.size > 0) {
      const { index, done, value } = await Promise.race(coming.values())
      if (done) {
        choices[index] = value
        coming.delete(index)
      } else {
        coming.set(index, next(index))
        yield { ...value, index }
      }
    }
    return { ...choices[0]!, choices }
  } finally {
    for (const rest of coming.values()) rest.catch(() => {}) // the first error is the one that is told
    await Promise.all(streams.map((stream) => stream.return(undefined as never)))
  }
}

/** The options of the i-th answer: the first's seed plus i, if a seed was given. The first alone tells progress. */
function nextOptions({ seed, onProgress, ...options }: GenerationOptions, i: number): GenerationOptions {
  return { ...options, ...(seed !== undefined && { seed: Number.isSafeInteger(seed + i) ? seed + i : i }) }
}
