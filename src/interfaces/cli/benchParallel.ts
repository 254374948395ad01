// `mixtral bench --parallel`: how fast several sequences write at the same time, in all. Each has its own prompt and
// its own random tokens, so that many different experts run.

import { InvalidArgumentError } from 'commander'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'

export interface ParallelRate {
  readonly sequences: number
  /** Of all sequences together, from the moment in which all of them write. */
  readonly tokens_per_second: number
}

/** Reads numbers of sequences with commas between them. */
export function sequenceCounts(text: string): number[] {
  const counts = text.split(',').map((part) => part.trim())
  if (counts.every((count) => /^[1-9]\d{0,2}$/.test(count))) return counts.map(Number)
  throw new InvalidArgumentError('Expected numbers of sequences with commas between them, such as 1,2,4,8.')
}

/** Measures once with each number of sequences. Throws what `MixtralModel.stream` throws. */
export async function measureParallel(
  model: MixtralModel,
  counts: readonly number[],
  { promptTokens, newTokens, signal }: { readonly promptTokens: number; readonly newTokens: number; readonly signal: AbortSignal },
): Promise<ParallelRate[]> {
  const rates: ParallelRate[] = []
  for (const sequences of counts) {
    await model.reset()
    rates.push({ sequences, tokens_per_second: await rateOf(model, sequences, promptTokens, newTokens, signal) })
  }
  return rates
}

async function rateOf(
  model: MixtralModel,
  sequences: number,
  promptTokens: number,
  newTokens: number,
  signal: AbortSignal,
): Promise<number> {
  const { vocabSize } = model.config
  const times: number[] = []
  let writing = 0
  let started = 0
  const write = async (sequence: number) => {
    const ids = Array.from({ length: promptTokens }, (_, i) => (i * 7919 + 13 + sequence * 104_729) % vocabSize)
    const options = { maxNewTokens: newTokens, temperature: 3, seed: sequence, ignoreEos: true, signal }
    let first = true
    for await (const { ids: written } of model.session({ ids }).stream(options)) {
      if (!written.length) continue
      if (first && ++writing === sequences) started = performance.now()
      first = false
      times.push(performance.now())
    }
  }
  await Promise.all(Array.from({ length: sequences }, (_, sequence) => write(sequence)))
  const after = times.filter((time) => time > started)
  return after.length ? (1000 * after.length) / (Math.max(...after) - started) : 0
}
