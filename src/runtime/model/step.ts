// A step of the forward pass: which tokens go through which layers and stages. Does not know how a step reaches the
// threads.

/**
 * One pass of `count` tokens at consecutive positions, from the stage `firstStage` of the layer `firstLayer` to the
 * stage `endStage` of the layer `endLayer` - 1, which is not run any more: 0 and STAGES (stages.ts) are whole layers.
 */
export interface Step {
  readonly count: number
  /** The position of the first token. */
  readonly position: number
  readonly firstLayer: number
  readonly endLayer: number
  /** Whether to start from `tokens`. If not, the residual stream is in place. */
  readonly embed: boolean
  /** How many of the last positions get logits. */
  readonly logits: number
  readonly firstStage: number
  readonly endStage: number
  /** Whether the experts' inputs of ffn_down are copied with their outputs, so that they can be read after the step. */
  readonly traced: boolean
  /** (count). */
  readonly tokens: ArrayLike<number>
}
