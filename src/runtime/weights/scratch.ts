// The scratch area at the start of every bank, where the vectors of a step lie, behind the kernels' grids. Its layout
// is the same in all banks, so a row keeps its address when it moves to another bank. Owns these addresses; does not
// know a model's tensors.

import { alignUp } from '../../base/alignUp.js'
import type { ActivationKind } from '../../format/quants/activations.js'
import type { KernelBuild } from '../kernels/abi.js'
import { GRID_BYTES } from '../kernels/gridTable.js'
import { activationBytes, ROWS_TOGETHER } from '../kernels/packing.js'
import { DIRECT_BLOCK } from './fileReader.js'
import type { MixtralConfig } from './mixtralConfig.js'
import { KV_GROUP, pagesOf } from './pages.js'

/** Rows of equal length, `bytes` apart. */
export interface Rows {
  readonly at: number
  readonly bytes: number
}

/** The address of row `row`. */
export const rowAt = ({ at, bytes }: Rows, row: number) => at + row * bytes

/** Inputs of matrices, in each activation format that one of the matrices takes. */
export type InputRows = Readonly<Partial<Record<ActivationKind, Rows>>>

export interface Scratch {
  /** The residual stream: (batchSize, hidden) f32. */
  readonly x: Rows
  /** Inputs of attention, router and expert gates, after the norm: (batchSize, hidden or heads * headDim). */
  readonly inputs: InputRows
  /** Queries, keys, values side by side: (batchSize, (heads + 2 kvHeads) * headDim) f32. */
  readonly qkv: Rows
  /**
   * Attention of a few tokens, each over each range of its context: (tokens, ranges, heads) parts, as attention's
   * kernel lays them out.
   */
  readonly parts: Rows
  /** The pages of each sequence of a step: (sequences, pages of a whole context) i32. */
  readonly tables: Rows
  /** Attention's output: (batchSize, hidden) f32. */
  readonly projected: Rows
  /** (batchSize, experts) f32. */
  readonly routerLogits: Rows
  /** (batchSize, experts) i32, of which the first are used, best first. */
  readonly expertIds: Rows
  /** (batchSize, experts) f32, of which the first are used. */
  readonly expertWeights: Rows
  /** Most pairs of a token and one of its experts in a step. */
  readonly pairs: number
  /** Inputs of ffn_down: (pairs, intermediate). */
  readonly expertInputs: InputRows
  /** Outputs of ffn_down, before weighting: (pairs, hidden) f32. */
  readonly expertOutputs: Rows
  /** cos and sin of the angles of each token's position: (batchSize, ropeDim / 2, 2) f32. */
  readonly ropeTable: Rows
  /** One row per thread, private to it: attention's blocks, an expert's rows, and what the loader reads. */
  readonly threadScratch: Rows
  /** Buffers that rows of experts are read into: STAGING_SPARE bytes more than the rows need. */
  readonly stagingBuffers: Rows
  /** Addresses of guard bytes behind areas (guards.ts). */
  readonly guards: readonly number[]
  readonly bytes: number
}

/** Rows of an expert's gate and up products that one thread makes at a time: whole blocks of ffn_down's input. */
export const EXPERT_ROWS = 256
/** Tokens of one attention unit. */
export const ATTENTION_TOKENS = 16
/** Positions of one attention range. A model's bits depend on it, since sums are made range by range: a constant. */
export const ATTENTION_RANGE = 1024
/**
 * Counts changes of the bits that a model computes, which end the use of sessions that were saved before. A test
 * compares it with the hash of the logits that it belongs to.
 */
export const NUMERICS = 1
/** The ranges of a context of `positions` positions. */
export const rangesOf = (positions: number) => Math.ceil(positions / ATTENTION_RANGE)
/**
 * Most tokens of a step whose ranges are spread over the threads: with more of them, kv heads are units enough for all
 * threads.
 */
export const spreadTokens = (threads: number, kvHeads: number) => Math.ceil((2 * threads) / kvHeads)
/** Least bytes of a thread's scratch: the loader reads the file through it. */
const THREAD_SCRATCH_BYTES = 512 * 1024

/** Bytes of one query head's attention over one range, for one token. */
export const partBytes = (headDim: number) => headDim * 4 + 16
/** Bytes of scratch that the attention kernels need. rows: query heads of all its tokens together. */
function attentionKernelBytes(headDim: number, rows: number): number {
  const roundedQuery = Math.ceil((headDim * 2 + Math.ceil(headDim / KV_GROUP) * 4) / 16) * 16 // where the cache has 8 bits
  return headDim * 132 + (rows + 1) * 132 + 32 + rows * roundedQuery
}

/**
 * Bytes of an expert that are read at once: enough for the disk's full speed, little enough to stay in the core's cache
 * until they are repacked.
 */
const STAGING_BYTES = 2 ** 20
/** A direct read begins and ends at whole blocks of the file. */
export const STAGING_SPARE = 2 * DIRECT_BLOCK

/**
 * Lays out the scratch area for steps of at most `batchSize` tokens on `threads` threads. widestRowBytes: the longest
 * row of any matrix in the file; largestExpertMatrix: bytes of one in the file.
 */
export function planScratch(
  config: MixtralConfig,
  options: {
    batchSize: number
    contextLength: number
    sequences: number
    threads: number
    stagingBuffers: number
    build: KernelBuild
    inputKinds: ReadonlySet<ActivationKind>
    expertInputKinds: ReadonlySet<ActivationKind>
    widestRowBytes: number
    largestExpertMatrix: number
    guardBytes?: number
  },
): Scratch {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, experts, expertsPerToken, ropeDim } = config
  const { batchSize, contextLength, sequences, threads, build, guardBytes = 0 } = options
  const guards: number[] = []
  let next = GRID_BYTES
  const rows = (count: number, bytes: number, align = 16): Rows => {
    const row = {
      at: count ? alignUp(next, align) : next, // an empty area takes no memory
      bytes: alignUp(bytes, align),
    }
    next = alignUp(row.at + count * row.bytes, 64)
    if (count && guardBytes) {
      guards.push(next)
      next += guardBytes
    }
    return row
  }
  const inputRows = (count: number, columns: number, kinds: ReadonlySet<ActivationKind>): InputRows => {
    const area = (kind: ActivationKind) => (kinds.has(kind) ? { [kind]: rows(count, activationBytes(kind, columns, build)) } : {})
    return { ...area('f32'), ...area('q8_k'), ...area('q8_0'), ...area('q8_1') }
  }
  // a sequence that decodes may have all experts
  const pairs = Math.max(batchSize * expertsPerToken, sequences * experts)
  const attentionRows = ATTENTION_TOKENS * (heads / kvHeads)
  const attentionBytes = 2 * attentionRows * partBytes(headDim) + attentionKernelBytes(headDim, attentionRows)
  const expertBytes = 2 * batchSize * EXPERT_ROWS * 4
  const areas = {
    x: rows(batchSize, hiddenSize * 4),
    inputs: inputRows(batchSize, Math.max(hiddenSize, heads * headDim), options.inputKinds),
    qkv: rows(batchSize, (heads + 2 * kvHeads) * headDim * 4),
    parts: rows(spreadTokens(threads, kvHeads) * rangesOf(contextLength), heads * partBytes(headDim)),
    tables: rows(sequences, pagesOf(contextLength) * 4),
    projected: rows(batchSize, hiddenSize * 4),
    routerLogits: rows(batchSize, experts * 4),
    expertIds: rows(batchSize, experts * 4),
    expertWeights: rows(batchSize, experts * 4),
    expertInputs: inputRows(pairs, intermediateSize, options.expertInputKinds),
    expertOutputs: rows(pairs, hiddenSize * 4),
    ropeTable: rows(batchSize, ropeDim * 4),
    threadScratch: rows(threads, Math.max(THREAD_SCRATCH_BYTES, attentionBytes, expertBytes, ROWS_TOGETHER * options.widestRowBytes)),
    stagingBuffers: rows(
      options.stagingBuffers,
      Math.min(options.largestExpertMatrix, Math.max(STAGING_BYTES, ROWS_TOGETHER * options.widestRowBytes)) + STAGING_SPARE,
      DIRECT_BLOCK,
    ),
  }
  return { ...areas, pairs, guards, bytes: next }
}
