// Runs generations: one answer to a prompt, or several at the same time, whose pieces come as they are written. Owns
// how answers share options; what one answer is, generation.ts knows.

import { withPartial } from '../../base/errors.js'
import { Told } from '../../base/onAbort.js'
import { inSlices, type Steps, TimeSlice } from '../../base/timeSlice.js'
import { checkExpertsPerToken, checkScales } from '../../runtime/engine/callArguments.js'
import type { Engine } from '../../runtime/engine/engine.js'
import type { Task } from '../../runtime/engine/request.js'
import { randomSeed } from '../../runtime/sampler/checkSamplerOptions.js'
import type { ChatRequest } from './chatRequest.js'
import { type CheckedOptions, checkGenerationOptions } from './checkGenerationOptions.js'
import { ExpectedAnswer } from './expectedAnswer.js'
import { Generation, type GenerationModel } from './generation.js'
import type { GenerationOptions } from './generationOptions.js'
import type { GenerationResult, Piece } from './generationResult.js'
import { withDefaults } from './modelDefaults.js'
import type { ModelParts } from './modelParts.js'
import { StopStrings } from './stopStrings.js'
import { type ToolAnswer, toolAnswer } from './toolAnswer.js'

/** What is asked of a prompt, as it was when it was asked: the options of each answer. */
export type AskedAnswers = readonly CheckedOptions[]

/** Checks and copies what is asked, with the defaults that a model brings. Throws `OPTION`. */
export function askedAnswers({ defaults, engine }: Pick<ModelParts, 'defaults' | 'engine'>, given: GenerationOptions): AskedAnswers {
  const all = withDefaults(defaults, given)
  const options = typeof all.n === 'number' && all.n > 1 ? { ...all, seed: all.seed ?? randomSeed() } : all // the first seed repeats them all
  checkExpertsPerToken(options.expertsPerToken, engine.config.experts)
  const { adapters } = options
  const chosen = adapters === undefined ? {} : { adapters: checkScales(adapters, engine) }
  const first = checkGenerationOptions({ ...options, ...chosen })
  const others = Array.from({ length: first.n - 1 }, (_, i) => {
    return { ...checkGenerationOptions(nextOptions({ ...options, ...chosen }, i + 1)), constraint: first.constraint } // compiled once
  })
  return [first, ...others]
}

/**
 * Writes the answers beside all other calls. It begins with the first piece that is asked for; leaving the loop ends
 * all. The answers' prompt is computed once; where it is a text still, it becomes tokens in slices.
 */
export async function* writeAnswers(
  model: GenerationModel,
  engine: Engine,
  given: readonly number[] | Steps<readonly number[]>,
  asked: AskedAnswers,
  request?: ChatRequest,
): AsyncGenerator<Piece, GenerationResult> {
  const prompt = 'next' in given ? await inSlices(given, asked[0]!.signal) : given
  const generations: Generation[] = []
  const slice = new TimeSlice()
  let answer: ToolAnswer | undefined
  for (const options of asked) {
    if (request?.tools) answer = await toolAnswer({ ...request.prompt, ids: prompt }, request.tools, options, answer)
    generations.push(await Generation.begin(model, prompt, options, answer))
    if (slice.isOver && generations.length < asked.length) await slice.pause()
  }
  const tasks: Task[] = [...generations]
  const { expected } = asked[0]!
  if (expected) {
    const [generation] = generations as [Generation]
    engine.checked([...prompt, ...expected])
    // the other one draws nothing: it goes ahead with the tokens that are there
    const alone = { ...asked[0]!, stops: new StopStrings([]), onProgress: undefined }
    const tools = request?.tools && (await toolAnswer({ ...request.prompt, ids: prompt }, request.tools, alone, undefined))
    const ahead = generation.isStateless ? await Generation.begin(model, prompt, alone, tools) : undefined
    tasks[0] = new ExpectedAnswer(generation, ahead, prompt, expected)
  }
  const accepted = new Told<void>(asked[0]!.onAccepted)
  accepted.next()
  const requests = generations.map((generation, i) => {
    const { signal } = asked[i]!
    const request = engine.submit(tasks[i]!, signal)
    generation.pieces.onRoom = request.wake
    return request
  })
  try {
    const [only] = generations
    if (generations.length === 1) yield* only!.pieces
    else yield* together(generations.map(({ pieces }) => pieces[Symbol.asyncIterator]()))
    await accepted.end()
    const [first, ...others] = generations.map((generation) => generation.result())
    return others.length === 0 ? first! : { ...first!, choices: [first!, ...others] }
  } catch (error) {
    const [first, ...others] = generations.map(({ partial }) => partial)
    throw withPartial(error, others.length === 0 ? first! : { ...first!, choices: [first!, ...others] })
  } finally {
    for (const request of requests) request.end()
  }
}

/** Reads a stream to its end: the result. */
export async function finish<T>(pieces: AsyncGenerator<Piece, T>): Promise<T> {
  for (;;) {
    const { done, value } = await pieces.next()
    if (done) return value
  }
}

/** The pieces of all answers as they come, with the answer's index. The first error of one is thrown. */
async function* together(answers: readonly AsyncGenerator<Piece, void>[]): AsyncGenerator<Piece, void> {
  const next = (index: number) => {
    const coming = answers[index]!.next().then(({ done, value }) => ({ index, piece: done ? undefined : value }))
    coming.catch(() => {}) // it is told when its turn comes, or never, where the loop is left
    return coming
  }
  const coming = new Map(answers.map((_, index) => [index, next(index)]))
  while (coming.size > 0) {
    const { index, piece } = await Promise.race(coming.values())
    if (!piece) coming.delete(index)
    else {
      coming.set(index, next(index))
      yield { ...piece, index }
    }
  }
}

/** The options of the i-th answer: the first's seed plus i. The first alone tells progress. */
function nextOptions({ seed = 0, onProgress, onAccepted, ...options }: GenerationOptions, i: number): GenerationOptions {
  return { ...options, seed: Number.isSafeInteger(seed + i) ? seed + i : i }
}
