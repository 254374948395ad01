// The memory in which compute threads and readers meet over experts that come and go: made by main for each set of threads, opened by every thread. Knows what is in it by name only.

import { ExpertFiller } from '../residency/expertFiller.js'
import { type ExpertPieces, expertPieces } from '../residency/expertPieces.js'
import { FIGURES, Ledger, type LedgerShape } from '../residency/ledger.js'
import { Rooms } from '../residency/rooms.js'
import { expertBytes } from '../weights/bankFiller.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import type { Streaming } from './expertStore.js'
import { Lookahead } from './lookahead.js'
import type { Thread } from './thread.js'

export interface StreamingMemory {
  readonly ledger: SharedArrayBuffer
  readonly lookahead: SharedArrayBuffer
  readonly rooms: SharedArrayBuffer
  /** These outlive a set of threads. */
  readonly figures: Float64Array
}

export function createFigures(): Float64Array {
  return new Float64Array(new SharedArrayBuffer(FIGURES * 8))
}

/** With empty slots. */
export function createStreaming(config: MixtralConfig, plan: Plan, figures: Float64Array): StreamingMemory {
  const shape = ledgerShape(config, plan, expertPieces(plan))
  const ledger = new SharedArrayBuffer(Ledger.bytes(shape))
  new Ledger(shape, ledger, figures).clear()
  const rooms = new SharedArrayBuffer(Rooms.bytes(plan.rooms))
  return { ledger, lookahead: new SharedArrayBuffer(Lookahead.bytes(config.experts)), rooms, figures }
}

export function openStreaming(thread: Thread, memory: StreamingMemory): Streaming {
  const { config, plan, banks } = thread
  const pieces = expertPieces(plan)
  const ledger = new Ledger(ledgerShape(config, plan, pieces), memory.ledger, memory.figures)
  const filler = new ExpertFiller(plan, banks, pieces, ledger, new Rooms(memory.rooms))
  return { ledger, lookahead: new Lookahead(thread, memory.lookahead), filler }
}

/** What the ledger must know of a plan whose experts come and go. */
function ledgerShape({ layers, experts, expertsPerToken }: MixtralConfig, plan: Plan, pieces: readonly ExpertPieces[]): LedgerShape {
  const tensors = plan.layers.flatMap((layer) => layer.experts)
  return {
    slots: plan.slots.map(({ bytes }) => bytes),
    layers,
    experts,
    used: expertsPerToken,
    sizes: tensors.map(expertBytes),
    pieces: pieces.map(({ list }) => list.length),
  }
}
