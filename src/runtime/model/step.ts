// A step of the forward pass: which tokens go through which layers and stages. Owns the order of a layer's stages; does not know how a step
// reaches the threads.

/** The stages of a layer. Between any two of them a step may end and the next begin. */
export const stage = { norm: 0, project: 1, rotate: 2, attend: 3, projectOutput: 4, route: 5, experts: 6 } as const

export const STAGES = 7

/**
 * One pass through layers firstLayer .. endLayer for `count` consecutive positions. embed: start from `tokens`; otherwise the residual stream is already in place.
 * logits: the number of last positions that get logits. The first layer begins with its stage `firstStage`, the last ends before its stage `endStage`: 0 and STAGES
 * are all of it. traced: what experts make of their inputs is taken along when their outputs are, so that it can be read.
 */
export interface Step {
  readonly count: number
  readonly position: number
  readonly firstLayer: number
  readonly endLayer: number
  readonly embed: boolean
  readonly logits: number
  readonly firstStage: number
  readonly endStage: number
  readonly traced: boolean
  readonly tokens: ArrayLike<number>
}
