// The scratch area at the start of every bank: where the small vectors of a step lie. The layout is the same in all banks, so that a row moves to another bank
// without changing its address. Owns offsets; knows no tensors.

import { alignUp } from '../../base/alignUp.js'
import type { ActivationKind } from '../../format/quants/activations.js'
import type { KernelBuild } from '../kernels/abi.js'
import { activationBytes } from '../kernels/activation.js'
import { ROWS_TOGETHER } from '../kernels/packing.js'
import { DIRECT_BLOCK } from './fileReader.js'
import type { MixtralConfig } from './mixtralConfig.js'

/** Rows of equal length, `bytes` apart. */
export interface Rows {
  readonly at: number
  readonly bytes: number
}

/** Inputs of matrices, in every kind that some matrix wants. */
export type InputRows = Readonly<Partial<Record<ActivationKind, Rows>>>

export interface Scratch {
  /** The residual stream: (batch, hidden) f32. */
  readonly x: Rows
  /** Inputs of attention, router and expert gates, after the norm: (batch, hidden or heads * headDim). */
  readonly inputs: InputRows
  /** Queries, keys, values side by side: (batch, (heads + 2 kvHeads) * headDim) f32. */
  readonly qkv: Rows
  /** One token's attention over the ranges of its context: (ranges, heads) parts (assembly/ops/attention.ts). */
  readonly parts: Rows
  /** Attention's output: (batch, hidden) f32. */
  readonly projected: Rows
  /** (batch, experts) f32. */
  readonly routerLogits: Rows
  /** (batch, used) i32, best first. */
  readonly expertIds: Rows
  /** (batch, used) f32. */
  readonly expertWeights: Rows
  /** Inputs of ffn_down: (batch * used, intermediate). */
  readonly expertInputs: InputRows
  /** Outputs of ffn_down, before weighting: (batch * used, hidden) f32. */
  readonly expertOutputs: Rows
  /** cos and sin of each token's position: (batch, ropeDim / 2, 2) f32. */
  readonly turns: Rows
  /** One per thread: attention's blocks, an expert's rows, and the staging area of the loader. */
  readonly rooms: Rows
  /** Rooms that experts are read into: STAGING_SPARE bytes more than the largest piece. */
  readonly staging: Rows
  readonly bytes: number
}

/** Rows of an expert's gate and up products that one thread makes at a time: whole blocks of ffn_down's input. */
export const EXPERT_ROWS = 256
/** Tokens of one attention unit. */
export const ATTENTION_TOKENS = 16
/** Positions of one attention range. Part of what a model's bits depend on, since sums are made range by range: the same everywhere. */
export const ATTENTION_RANGE = 1024
/** Least bytes of a thread's room: pieces of the file pass through it. */
const ROOM_BYTES = 512 * 1024

/** Bytes of what one range gives one query head of one token. */
export const partBytes = (headDim: number) => headDim * 4 + 16
/** Bytes of room that the attention kernel wants for so many query heads of all its tokens together. */
const attentionRoomBytes = (headDim: number, rows: number) => headDim * 132 + (rows + 1) * 132 + 16

/** Bytes of the file that a reader of experts reads at a time: enough for the disk's full speed, little enough to stay in the core's cache until repacked. */
const STAGING_BYTES = 2 ** 20
/** A direct read takes in whole blocks of the file. */
export const STAGING_SPARE = 2 * DIRECT_BLOCK

/**
 * Lays out the scratch area for steps of at most `batch` tokens on `threads` threads. `widestRowBytes`: the longest row of any matrix in the
 * file; `largestExpertMatrix`: bytes of one in the file.
 */
export function planScratch(
  config: MixtralConfig,
  options: {
    batch: number
    contextLength: number
    threads: number
    stagingRooms: number
    build: KernelBuild
    inputKinds: ReadonlySet<ActivationKind>
    expertInputKinds: ReadonlySet<ActivationKind>
    widestRowBytes: number
    largestExpertMatrix: number
  },
): Scratch {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, experts, expertsPerToken, ropeDim } = config
  const { batch, contextLength, threads, stagingRooms, build } = options
  let next = 1024 // a null pointer stays invalid
  const rows = (count: number, bytes: number, align = 16): Rows => {
    const row = {
      at: count ? alignUp(next, align) : next, // an empty area takes no room
      bytes: alignUp(bytes, align),
    }
    next = alignUp(row.at + count * row.bytes, 64)
    return row
  }
  const inputRows = (count: number, columns: number, kinds: ReadonlySet<ActivationKind>): InputRows => {
    const room = (kind: ActivationKind) => (kinds.has(kind) ? { [kind]: rows(count, activationBytes(kind, columns, build)) } : {})
    return { ...room('f32'), ...room('q8_k'), ...room('q8_0'), ...room('q8_1') }
  }
  const pairs = batch * expertsPerToken
  const attentionRoom =
    2 * ATTENTION_TOKENS * (heads / kvHeads) * partBytes(headDim) + attentionRoomBytes(headDim, ATTENTION_TOKENS * (heads / kvHeads))
  const expertRoom = 2 * batch * EXPERT_ROWS * 4
  const areas = {
    x: rows(batch, hiddenSize * 4),
    inputs: inputRows(batch, Math.max(hiddenSize, heads * headDim), options.inputKinds),
    qkv: rows(batch, (heads + 2 * kvHeads) * headDim * 4),
    parts: rows(Math.ceil(contextLength / ATTENTION_RANGE), heads * partBytes(headDim)),
    projected: rows(batch, hiddenSize * 4),
    routerLogits: rows(batch, experts * 4),
    expertIds: rows(batch, expertsPerToken * 4),
    expertWeights: rows(batch, expertsPerToken * 4),
    expertInputs: inputRows(pairs, intermediateSize, options.expertInputKinds),
    expertOutputs: rows(pairs, hiddenSize * 4),
    turns: rows(batch, ropeDim * 4),
    rooms: rows(threads, Math.max(ROOM_BYTES, attentionRoom, expertRoom, ROWS_TOGETHER * options.widestRowBytes)),
    staging: rows(
      stagingRooms,
      Math.min(options.largestExpertMatrix, Math.max(STAGING_BYTES, ROWS_TOGETHER * options.widestRowBytes)) + STAGING_SPARE,
      DIRECT_BLOCK,
    ),
  }
  return { ...areas, bytes: next }
}
