// `mixtral bench --parallel`: how fast several sequences write at the same time, in all. Each has its own prompt and
// its own random tokens, so that many different experts run.

import { InvalidArgumentError } from 'commander'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'

export interface ParallelRate {
  readonly sequences: number
  /** Of all sequences together, from the moment in which all of them write. */
  readonly tokens_per_second: number
}

export interface Measuring {
  readonly promptTokens: number
  readonly newTokens: number
  readonly signal: AbortSignal
  /** Called with how many more tokens have been computed. */
  readonly onTokens: (count: number) => void
}

/** Reads comma-separated numbers of sequences. */
export function sequenceCounts(text: string): number[] {
  const counts = text.split(',').map((part) => part.trim())
  if (counts.every((count) => /^[1-9]\d{0,2}$/.test(count))) return counts.map(Number)
  throw new InvalidArgumentError('Expected comma-separated numbers of sequences, such as 1,2,4,8.')
}

/** Measures once with each number of sequences, on an empty cache. Throws what `MixtralModel.stream` throws. */
export async function* measureParallel(
  model: MixtralModel,
  counts: readonly number[],
  { promptTokens, newTokens, signal, onTokens }: Measuring,
): AsyncGenerator<ParallelRate> {
  for (const sequences of counts) {
    await model.reset()
    const write = async function* (sequence: number) {
      const prompt = parallelPrompt(sequence, promptTokens, model.config.vocabSize)
      let begun = false
      for await (const id of writeTokens(model, prompt, { sequence, newTokens, signal })) {
        onTokens(begun ? 1 : promptTokens + 1)
        begun = true
        yield id
      }
    }
    yield { sequences, tokens_per_second: await rateTogether(Array.from({ length: sequences }, (_, i) => write(i))) }
  }
}

/** A prompt that no other sequence begins with. */
export function parallelPrompt(sequence: number, tokens: number, vocabulary: number): number[] {
  return Array.from({ length: tokens }, (_, i) => (i * 7919 + 13 + sequence * 104_729) % vocabulary)
}

/** Writes random tokens, so that many different experts run. */
export async function* writeTokens(
  model: MixtralModel,
  ids: readonly number[],
  { sequence, newTokens, signal }: { readonly sequence: number; readonly newTokens: number; readonly signal?: AbortSignal },
): AsyncGenerator<number> {
  const options = { maxNewTokens: newTokens, temperature: 3, seed: sequence, ignoreEos: true, ...(signal && { signal }) }
  for await (const piece of model.session({ ids }).stream(options)) yield* piece.ids
}

/** Reads streams of tokens to their ends at the same time. Tokens a second of all of them, from when all have begun. */
export async function rateTogether(streams: readonly AsyncIterable<number>[]): Promise<number> {
  const times: number[] = []
  const begun = new Set<AsyncIterable<number>>()
  let started = 0
  const read = async (stream: AsyncIterable<number>) => {
    for await (const _ of stream) {
      if (begun.size < streams.length && begun.add(stream).size === streams.length) started = performance.now()
      times.push(performance.now())
    }
  }
  await Promise.all(streams.map(read))
  const after = times.filter((time) => time > started)
  return after.length ? (1000 * after.length) / (Math.max(...after) - started) : 0
}
