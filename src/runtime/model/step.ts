// A step of the forward pass: rows, each the next token of a sequence, and the layers and stages they go through. Owns
// the names and numbers of the stages, and what follows from the segments of a step: positions, places in the KV cache,
// and the units of attention. Does not know what a stage does, nor how a step reaches the threads.

import { PAGE_POSITIONS } from '../weights/pages.js'
import { ATTENTION_TOKENS } from '../weights/scratch.js'

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

/** Rows that are consecutive tokens of one sequence. A sequence that decodes has a segment of one row. */
export interface Segment {
  /** The first of its rows in the step. */
  readonly firstRow: number
  readonly rows: number
  /** The position of the first row's token in its sequence. */
  readonly position: number
  /** The page of each PAGE_POSITIONS positions, up to that of the last row. */
  readonly table: ArrayLike<number>
  /** How many experts each of its tokens has in a layer. */
  readonly used: number
  /** How much of each adapter counts, 0 for none of it; undefined without adapters. */
  readonly adapters?: ArrayLike<number> | undefined
}

/** A page whose bytes are copied to another before the step writes there. */
export interface PageCopy {
  readonly from: number
  readonly to: number
}

/**
 * One pass of rows, from the stage `firstStage` of the layer `firstLayer` to the stage `endStage` of the layer
 * `endLayer` - 1, which is not run any more: 0 and STAGES are whole layers.
 */
export interface Step {
  /** The token of each row: (rows). */
  readonly tokens: ArrayLike<number>
  /** In the order of their rows. */
  readonly segments: readonly Segment[]
  /** Rows that get logits, ascending. */
  readonly wanted: ArrayLike<number>
  /**
   * The place of each wanted row's job in the memory of jobs (sampler/jobMemory.ts), 0 for none; empty: no jobs. A row
   * with NO_LOGITS is normed, and gets no logits.
   */
  readonly jobs: ArrayLike<number>
  readonly copies: readonly PageCopy[]
  /** How many rows the next steps will have, as far as is known: experts are kept by it. */
  readonly nextRows: number
  readonly firstLayer: number
  readonly endLayer: number
  /** Whether to start from `tokens`. If not, the residual stream is in place. */
  readonly embed: boolean
  readonly firstStage: number
  readonly endStage: number
  /**
   * Whether every row's outputs of the last experts are added, and the experts' inputs of ffn_down copied with their
   * outputs, so that they can be read after the step.
   */
  readonly traced: boolean
}

/** Up to ATTENTION_TOKENS rows of a segment: what one unit of attention computes, for one kv head. */
export interface Tile {
  /** The number of the segment, and of its table. */
  readonly segment: number
  readonly firstRow: number
  readonly rows: number
  /** Of the first row. */
  readonly position: number
}

/** A step with what follows from its segments. */
export interface StepRows extends Step {
  readonly count: number
  /** The position of each row's token in its sequence: (rows). */
  readonly positions: Int32Array
  /** The place of each row in the KV cache: page * PAGE_POSITIONS + place in the page. (rows). */
  readonly slots: Int32Array
  /** How many experts each row has in a layer: (rows). */
  readonly used: Int32Array
  /** The first of each row's pairs, which are one row in one of its experts, best first: (rows). */
  readonly firstPair: Int32Array
  /** The row of each pair: (pairs). */
  readonly pairRows: Int32Array
  /** How many adapters there are. */
  readonly adapters: number
  /** How much of each adapter counts in each row: (rows, adapters). Undefined if none counts in any. */
  readonly scales: Float32Array | undefined
  /** Longest context first, so that no thread begins the longest at the end. */
  readonly tiles: readonly Tile[]
  /** Whether every segment has one row: then no row needs the keys of another. */
  readonly singles: boolean
}

/** Whether a step runs a stage in a layer. */
export function runsStage({ firstLayer, endLayer, firstStage, endStage }: Step, index: number, stage: LayerStage): boolean {
  const number = layerStages.indexOf(stage)
  return number >= (index === firstLayer ? firstStage : 0) && number < (index === endLayer - 1 ? endStage : STAGES)
}

/** How many pairs of a row and one of its experts a step has. */
export const pairsOf = (segments: readonly Segment[]) => segments.reduce((sum, { rows, used }) => sum + rows * used, 0)

export function rowsOf(step: Step): StepRows {
  const count = step.tokens.length
  const positions = new Int32Array(count)
  const slots = new Int32Array(count)
  const used = new Int32Array(count)
  const firstPair = new Int32Array(count)
  const pairRows = new Int32Array(pairsOf(step.segments))
  const tiles: Tile[] = []
  let pair = 0
  for (const [segment, { firstRow, rows, position, table, used: experts }] of step.segments.entries()) {
    for (let i = 0; i < rows; i++) {
      used[firstRow + i] = experts
      firstPair[firstRow + i] = pair
      pairRows.fill(firstRow + i, pair, pair + experts)
      pair += experts
      const at = position + i
      positions[firstRow + i] = at
      slots[firstRow + i] = table[Math.floor(at / PAGE_POSITIONS)]! * PAGE_POSITIONS + (at % PAGE_POSITIONS)
    }
    for (let t = 0; t < rows; t += ATTENTION_TOKENS) {
      tiles.push({ segment, firstRow: firstRow + t, rows: Math.min(ATTENTION_TOKENS, rows - t), position: position + t })
    }
  }
  tiles.sort((a, b) => b.position + b.rows - (a.position + a.rows) || a.firstRow - b.firstRow)
  const singles = tiles.every(({ rows }) => rows === 1)
  return { ...step, count, positions, slots, used, firstPair, pairRows, tiles, singles, ...scalesOf(step.segments, count) }
}

function scalesOf(segments: readonly Segment[], count: number): Pick<StepRows, 'adapters' | 'scales'> {
  const adapters = segments[0]?.adapters?.length ?? 0
  const isAdapted = (segment: Segment) => Array.from(segment.adapters ?? []).some((scale) => scale !== 0)
  if (!segments.some(isAdapted)) return { adapters, scales: undefined }
  const scales = new Float32Array(count * adapters)
  for (const { firstRow, rows, adapters: own } of segments) {
    for (let row = firstRow; row < firstRow + rows; row++) scales.set(own ?? [], row * adapters)
  }
  return { adapters, scales }
}
