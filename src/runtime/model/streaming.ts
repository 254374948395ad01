// The memory that compute threads and readers share to stream experts. Main creates it for each set of threads, every
// thread opens it. Owns which shared memory is whose. Does not know how any of it is used.

import { FIGURES } from '../residency/expertFigures.js'
import { ExpertReader } from '../residency/expertReader.js'
import { type ResidencyShape, ResidencyTable } from '../residency/residencyTable.js'
import { type ExpertRanges, expertRanges } from '../residency/rowRanges.js'
import { StagingBuffers } from '../residency/stagingBuffers.js'
import { expertBytes } from '../weights/bankLayout.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan, StreamingPlan } from '../weights/plan.js'
import type { StreamedExperts } from './expertStore.js'
import { Lookahead } from './lookahead.js'
import type { Thread } from './thread.js'

/**
 * Most row ranges of predicted experts that are read at a time. More would take cores from computing, and disk
 * bandwidth from the experts that are requested next.
 */
const PREFETCH_READS = 4

export interface StreamingMemory {
  readonly table: SharedArrayBuffer
  readonly lookahead: SharedArrayBuffer
  readonly buffers: SharedArrayBuffer
  /** The counters of expertFigures.ts, which outlive a set of threads. */
  readonly figures: Float64Array
}

export function createFigures(): Float64Array {
  return new Float64Array(new SharedArrayBuffer(FIGURES * 8))
}

/** Creates the memory with all slots empty. */
export function createStreaming(config: MixtralConfig, plan: Plan, { buffers }: StreamingPlan, figures: Float64Array): StreamingMemory {
  const shape = residencyShape(config, plan, expertRanges(plan))
  const table = new SharedArrayBuffer(ResidencyTable.bytes(shape))
  new ResidencyTable(shape, table, figures).clear()
  return {
    table,
    lookahead: new SharedArrayBuffer(Lookahead.bytes(config.experts)),
    buffers: new SharedArrayBuffer(StagingBuffers.bytes(buffers)),
    figures,
  }
}

export function openStreaming(thread: Thread, memory: StreamingMemory): StreamedExperts {
  const { config, plan, banks } = thread
  const ranges = expertRanges(plan)
  const table = new ResidencyTable(residencyShape(config, plan, ranges), memory.table, memory.figures)
  const reader = new ExpertReader(plan, banks, ranges, table, new StagingBuffers(memory.buffers))
  return { table, lookahead: new Lookahead(thread, memory.lookahead), reader }
}

function residencyShape({ layers, experts, expertsPerToken }: MixtralConfig, plan: Plan, ranges: readonly ExpertRanges[]): ResidencyShape {
  const tensors = plan.layers.flatMap((layer) => layer.experts)
  return {
    slots: plan.slots.map(({ bytes }) => bytes),
    layers,
    experts,
    used: expertsPerToken,
    sizes: tensors.map(expertBytes),
    ranges: ranges.map(({ list }) => list.length),
    prefetchReads: PREFETCH_READS,
  }
}
