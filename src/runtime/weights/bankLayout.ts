// The layout of banks: gives each tensor, slot and area an address, and lists the tensors that must be loaded. Owns
// sizes and alignment. Sees tensors one at a time; does not know the order of a model's layers.

import { alignUp } from '../../base/alignUp.js'
import { MixtralError } from '../../base/errors.js'
import { packedBytes } from '../kernels/packing.js'
import type { Guard } from './guards.js'
import { type ExpertTensors, packingOf, type TensorSlice } from './mixtralTensors.js'
import { type ExpertRole, expertMatricesOf, expertRoles, recordOf } from './roles.js'

/** A matrix packed in groups of four rows (packing.ts). */
export interface PlacedMatrix {
  /** One of the packings (packing.ts). */
  readonly packing: string
  readonly rows: number
  readonly columns: number
  readonly bank: number
  readonly at: number
}

/** Memory for one expert: gate, up and down, one after the other. */
export interface Slot {
  readonly bank: number
  readonly at: number
  /** An expert goes only into a slot of its own size. */
  readonly bytes: number
}

export type PlacedExpert = Readonly<Record<ExpertRole, PlacedMatrix>>

/** A tensor of the file and the address it is loaded to: `packed` in groups of four rows, or unchanged. */
export interface Load {
  readonly slice: TensorSlice
  readonly bank: number
  readonly at: number
  readonly packed: boolean
}

/** Most bytes of a bank: a 32-bit memory without its last page, so that the end of the last byte is a 32-bit number. */
export const LARGEST_BANK = 2 ** 32 - 65536

const upTo64 = (bytes: number) => alignUp(bytes, 64)
/** Bytes of a packed matrix. */
export const bytesOf = (slice: TensorSlice) => upTo64(packedBytes(packingOf(slice), slice.rows, slice.columns))
/** Bytes of a tensor that is kept unchanged. */
export const rawBytes = (slice: TensorSlice) => upTo64(slice.bytes)
/** Bytes of an expert, which are those of its slot. */
export const expertBytes = (expert: ExpertTensors) => expertMatricesOf(expert).reduce((sum, matrix) => sum + bytesOf(matrix), 0)

/** The addresses of an expert's matrices in a slot. */
export function placeExpert(expert: ExpertTensors, { bank, at }: Slot): PlacedExpert {
  let next = at
  return recordOf(expertRoles, (role) => {
    const { rows, columns } = expert[role]
    const start = next
    next += bytesOf(expert[role])
    return { packing: packingOf(expert[role]), rows, columns, bank, at: start }
  })
}

/** The load that brings one matrix of an expert into a slot. */
export function expertLoad(expert: ExpertTensors, slot: Slot, part: keyof ExpertTensors): Load {
  return { slice: expert[part], bank: slot.bank, at: placeExpert(expert, slot)[part].at, packed: true }
}

/**
 * Hands out addresses bank after bank. What belongs together lies in one bank: where it does not fit, the next begins.
 */
export class BankLayout {
  readonly sizes: number[] = []
  /** Empty in a layout that only measures. */
  readonly loads: Load[] = []
  /** Bytes of all that is loaded. */
  loadedBytes = 0
  readonly #start: number
  readonly #limit: number
  readonly #measures: boolean
  readonly #guardBytes: number
  /** Guard bytes behind areas (guards.ts). */
  readonly guards: Guard[] = []
  /** A quantization that is only measured has one expert for all of a layer. */
  #lastExpert: { readonly expert: ExpertTensors; readonly bytes: number } | undefined

  /**
   * start: bytes at the start of every bank that are taken already; limit: bytes that a bank is filled to; measures:
   * whether only sizes are wanted, which takes far less time where there are many experts; guardBytes: bytes that are
   * left free behind every area.
   */
  constructor(start: number, limit: number, measures: boolean, guardBytes = 0) {
    this.#guardBytes = guardBytes
    this.#start = start
    this.#limit = limit
    this.#measures = measures
  }

  /** A slot for an expert that is loaded at the start. */
  slot(expert: ExpertTensors): Slot {
    if (this.#lastExpert?.expert !== expert) this.#lastExpert = { expert, bytes: expertBytes(expert) }
    const slot = this.emptySlot(this.#lastExpert.bytes)
    this.loadedBytes += slot.bytes
    if (!this.#measures) for (const part of expertRoles) this.loads.push(expertLoad(expert, slot, part))
    return slot
  }

  emptySlot(bytes: number): Slot {
    const bank = this.#bankFor(upTo64(bytes) + this.#guardBytes)
    return { bank, at: this.#take(bank, bytes), bytes }
  }

  #take(bank: number, bytes: number): number {
    const at = this.sizes[bank]!
    const end = at + upTo64(bytes)
    this.sizes[bank] = end + this.#guardBytes
    if (this.#guardBytes && !this.#measures) this.guards.push({ bank, at: end, bytes: this.#guardBytes })
    return at
  }

  /** The bank that this number of bytes goes into. */
  #bankFor(bytes: number): number {
    const room = LARGEST_BANK - this.#start
    if (room <= 0) {
      const problem = `the areas of a step take ${this.#start} bytes of each memory, which has ${LARGEST_BANK}`
      throw new MixtralError('MEMORY', `${problem}: expected fewer tokens of a step, or adapters of smaller ranks`)
    }
    if (bytes > room) throw new MixtralError('MEMORY', `${bytes} bytes must lie in one memory, which holds ${room}`)
    if (!this.sizes.length || this.sizes.at(-1)! + bytes > this.#limit) this.sizes.push(this.#start)
    return this.sizes.length - 1
  }

  /** Finds a bank for areas of these sizes that must share one. */
  begin(sizes: readonly number[]): {
    bank: number
    take: (bytes: number) => number
    raw: (slice: TensorSlice) => number
    matrix: (slice: TensorSlice) => PlacedMatrix
  } {
    const bank = this.#bankFor(sizes.reduce((sum, size) => sum + upTo64(size) + this.#guardBytes, 0))
    const take = (size: number) => this.#take(bank, size)
    const load = (slice: TensorSlice, size: number, packed: boolean) => {
      const at = take(size)
      this.loads.push({ slice, bank, at, packed })
      this.loadedBytes += packed ? size : slice.bytes
      return at
    }
    return {
      bank,
      take,
      raw: (slice) => load(slice, rawBytes(slice), false),
      matrix: (slice) => ({
        packing: packingOf(slice),
        rows: slice.rows,
        columns: slice.columns,
        bank,
        at: load(slice, bytesOf(slice), true),
      }),
    }
  }
}

/** The sizes of about `count` slots: each size of expert gets its share of them, and no fewer than a token needs. */
export function slotSizes(experts: readonly number[], count: number, least: number): number[] {
  const counts = new Map<number, number>()
  for (const size of experts) counts.set(size, (counts.get(size) ?? 0) + 1)
  return [...counts].flatMap(([size, same]) => {
    const share = Math.min(same, Math.max(least, Math.floor((count * same) / experts.length)))
    return Array.from({ length: share }, () => size)
  })
}
