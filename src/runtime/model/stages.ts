// The stages of a forward pass in their order: those of a layer, where a step may begin and end, and those that are
// timed. Owns their names and numbers. Does not know what a stage does.

/** A layer's stages, each with the names under which its parts are timed. */
const layer = {
  norm: ['norm'],
  qkv: ['qkv'],
  rope: ['rope'],
  attention: ['attention'],
  output: ['output'],
  route: ['route'],
  experts: ['gate and up', 'down'],
} as const

export type LayerStage = keyof typeof layer

/** A step may end before any of these and the next step begin there: a stage's number is its index. */
export const layerStages = Object.keys(layer) as LayerStage[]

/** The number of the end of a layer. */
export const STAGES = layerStages.length

/** A stage as it is timed. Before the layers comes `embed`, after them `norm` once more, `logits` and `sample`. */
export type Stage = 'embed' | (typeof layer)[keyof typeof layer][number] | 'logits' | 'sample'

export const timedStages: readonly Stage[] = ['embed', ...Object.values(layer).flat(), 'logits', 'sample']
