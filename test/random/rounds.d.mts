// The types of rounds.mjs.

interface Counts {
  readonly rounds: number
  readonly equal: number
  readonly wrong: readonly string[]
}
export function runRounds(options: {
  readonly seed: number
  readonly until: number
  readonly most?: number
  readonly cases?: number
  readonly model?: string
}): Promise<Counts>
