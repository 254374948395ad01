// What of an answer is the same whatever the runtime does to be faster. Not a test.

import type { GenerationResult, MixtralModel, Piece } from '../../../dist/index.js'
import { readAll } from './readAll.js'

/** What an answer is, but for its times, and for what was in the cache, in memory or drafted. */
export function lasting(result: GenerationResult): unknown {
  const { prefillSeconds: _, decodeSeconds: __, reusedTokens: ___, experts: ____, ...counted } = result
  const { draftedTokens: _____, acceptedTokens: ______, ...rest } = counted
  return { ...rest, choices: rest.choices?.map(lasting) }
}

type Ask = (model: MixtralModel) => AsyncGenerator<Piece, GenerationResult>

/** Pieces by answer, and the result; or the error, and what was written before. */
export async function told(model: MixtralModel, ask: Ask): Promise<unknown> {
  try {
    const { pieces, result } = await readAll(ask(model))
    const ofEach = (result.choices ?? [result]).map((_, i) => pieces.filter(({ index = 0 }) => index === i))
    return { pieces: ofEach, result: lasting(result) }
  } catch (error) {
    const { code, message, partial } = error as { code: string; message: string; partial?: Partial<GenerationResult> }
    // how far other answers have come when one fails depends on the steps
    return { code, message, ...(!partial?.choices && { partial }) }
  }
}
