// Where the factors of adapters lie: in banks of their own behind those of the model, packed for the kernels. Owns
// their places, and how they get there. Every bank begins with the model's scratch area, so that a row of inputs keeps
// its address when it is copied there; of that, only the rows of inputs are ever written, and take memory.

import { alignUp } from '../../base/alignUp.js'
import { MixtralError } from '../../base/errors.js'
import { TimeSlice } from '../../base/timeSlice.js'
import { packedBytes, packings, ROWS_TOGETHER } from '../kernels/packing.js'
import type { Bank } from '../weights/bank.js'
import { BankLayout, type PlacedMatrix } from '../weights/bankLayout.js'
import type { Plan } from '../weights/plan.js'
import { type ExpertRole, expertRoles, type LayerMatrix } from '../weights/roles.js'
import type { Rows } from '../weights/scratch.js'
import { type Adapter, isExpertRole, type MatrixChange } from './adapter.js'
import type { GgufAdapterHeader } from './ggufAdapter.js'
import { type Factor, type FactorType, isFactorType } from './lowRank.js'

/** A change of a matrix by an adapter: W x + scale * B (A x). */
export interface PlacedChange {
  /** The number of the adapter. */
  readonly adapter: number
  readonly scale: number
  readonly a: PlacedMatrix
  readonly b: PlacedMatrix
}

/** The changes of a layer, each in the order of the adapters. */
export interface PlacedChanges {
  readonly matrices: Readonly<Partial<Record<LayerMatrix, readonly PlacedChange[]>>>
  /** Of each expert. */
  readonly experts: readonly Readonly<Partial<Record<ExpertRole, readonly PlacedChange[]>>>[]
}

/** Places for A x, the same in all banks of adapters: of a row of attention, and of a row in one of its experts. */
export interface LowAreas {
  readonly attention: Rows
  readonly output: Rows
  readonly gateUp: Rows
  readonly down: Rows
}

export interface AdaptedPlan {
  /** Bytes of each bank. */
  readonly banks: readonly number[]
  readonly layers: readonly PlacedChanges[]
  readonly low: LowAreas
  /** Bytes of all factors in memory. */
  readonly bytes: number
}

/** What adapters want of the plan of a model. */
export interface AdapterNeeds {
  readonly adapters: number
  readonly downFloats: boolean
  /** Bytes of memory that are theirs. */
  readonly bytes: number
}

interface Fill {
  readonly matrix: PlacedMatrix
  readonly factor: Factor
}

export interface PlacedAdapters {
  readonly plan: AdaptedPlan
  readonly fills: readonly Fill[]
}

/** Bytes of A x as a kernel writes it, in groups of four. */
const lowBytes = (rank: number) => alignUp(rank, 4) * 4

/** Most bytes of one bank. */
const BANK_BYTES = 2 ** 31
const attention: readonly LayerMatrix[] = ['attnQ', 'attnK', 'attnV']

/**
 * Places the factors of adapters behind the banks of a model. Returns what the threads need, and what fills the places.
 * Throws `MEMORY` for a layer's factors that no memory holds.
 */
export function placeAdapters(adapters: readonly Adapter[], plan: Plan): PlacedAdapters {
  const { scratch, batchSize } = plan
  const byLayer = plan.layers.map((_, layer) =>
    adapters.flatMap(({ changes }, adapter) => changes.filter((change) => change.layer === layer).map((change) => ({ adapter, change }))),
  )
  const widest = (roles: readonly string[]) =>
    byLayer.reduce((most, changes) => {
      // an expert's changes of one adapter are as wide as those of its widest expert
      const widths = new Map<string, number>()
      for (const { adapter, change } of changes) {
        if (!roles.includes(change.role)) continue
        const key = `${adapter} ${change.role}`
        widths.set(key, Math.max(widths.get(key) ?? 0, lowBytes(change.lowRank.rank)))
      }
      return Math.max(
        most,
        [...widths.values()].reduce((sum, bytes) => sum + bytes, 0),
      )
    }, 0)
  let next = scratch.bytes
  const rows = (count: number, bytes: number): Rows => {
    const at = next
    next = alignUp(at + count * bytes, 64)
    return { at, bytes }
  }
  const low = {
    attention: rows(batchSize, widest(attention)),
    output: rows(batchSize, widest(['attnOutput', 'ffnGateInp'])),
    gateUp: rows(scratch.pairs, widest(['ffnGate', 'ffnUp'])),
    down: rows(scratch.pairs, widest(['ffnDown'])),
  }
  const banks = new BankLayout(next, BANK_BYTES, false)
  const fills: Fill[] = []
  let bytes = 0
  const first = plan.banks.length
  const layers = byLayer.map((changes, layer): PlacedChanges => {
    const sizes = changes.flatMap(({ change: { lowRank } }) => [sizeOf(lowRank.a), sizeOf(lowRank.b)])
    const home = changes.length > 0 ? banks.begin(sizes) : undefined
    const place = (factor: Factor): PlacedMatrix => {
      const matrix = {
        packing: factor.type,
        rows: factor.rows,
        columns: factor.columns,
        bank: first + home!.bank,
        at: home!.take(sizeOf(factor)),
      }
      fills.push({ matrix, factor })
      bytes += sizeOf(factor)
      return matrix
    }
    const placed = changes.map(({ adapter, change }) => ({ change, placed: placeChange(adapter, change, place) }))
    const of = (role: string, expert?: number) => {
      const own = placed.filter(({ change }) => change.role === role && change.expert === expert).map((one) => one.placed)
      return own.length > 0 ? { [role]: own } : {}
    }
    const matrixRoles = new Set(changes.flatMap(({ change: { role } }) => (isExpertRole(role) ? [] : [role])))
    const experts = plan.layers[layer]!.experts.map((_, expert) => Object.assign({}, ...expertRoles.map((role) => of(role, expert))))
    return { matrices: Object.assign({}, ...[...matrixRoles].map((role) => of(role))), experts }
  })
  return { plan: { banks: banks.sizes, layers, low, bytes }, fills }
}

function placeChange(adapter: number, { lowRank }: MatrixChange, place: (factor: Factor) => PlacedMatrix): PlacedChange {
  return { adapter, scale: lowRank.scale, a: place(lowRank.a), b: place(lowRank.b) }
}

/** What adapters want of the plan of a model. */
export function adapterNeeds(adapters: readonly Adapter[]): AdapterNeeds {
  const changes = adapters.flatMap((adapter) => adapter.changes)
  const bytes = changes.reduce((sum, { lowRank: { a, b } }) => sum + sizeOf(a) + sizeOf(b), 0)
  return { adapters: adapters.length, downFloats: changes.some(({ role }) => role === 'ffnDown'), bytes }
}

/** The bytes of memory of an adapter of which the header is known. */
export function headerNeeds({ pairs }: GgufAdapterHeader): number {
  const inMemory = (name: string): FactorType => (isFactorType(name) ? name : 'F32')
  return pairs.reduce((sum, { matrices, rank, a, b }) => {
    const [columns, rows] = [a.shape[0]!, b.shape[1]!]
    const [ofA, ofB] = [a, b].map(({ type }) => inMemory(type.name)) as [FactorType, FactorType]
    return sum + matrices * (sizeOf({ type: ofA, rows: rank, columns }) + sizeOf({ type: ofB, rows, columns: rank }))
  }, 0)
}

const sizeOf = ({ type, rows, columns }: Omit<Factor, 'bytes'>) => alignUp(packedBytes(type, rows, columns), 64)

/**
 * Packs factors at their places, by way of the scratch area of their bank. Throws `ABORTED`, and `MEMORY` for a row
 * that is larger than the scratch area.
 */
export async function fillAdapters(
  fills: readonly Fill[],
  banks: readonly (Bank | undefined)[],
  { scratch }: Plan,
  signal?: AbortSignal,
): Promise<void> {
  const slice = new TimeSlice()
  const buffer = scratch.x.at
  for (const { matrix, factor } of fills) {
    const { rows, columns, bank, at } = matrix
    const { bytes, kernels } = banks[bank]!
    const packing = packings[factor.type]!
    const rowBytes = factor.bytes.length / rows
    const most = Math.floor((scratch.bytes - buffer) / rowBytes / ROWS_TOGETHER) * ROWS_TOGETHER
    if (most < 1) throw new MixtralError('MEMORY', `rows of ${rowBytes} bytes of an adapter, expected at most ${scratch.bytes - buffer}`)
    for (let row = 0; row < rows; row += most) {
      const some = Math.min(most, rows - row)
      bytes.set(factor.bytes.subarray(row * rowBytes, (row + some) * rowBytes), buffer)
      packing.repack(kernels)(buffer, some, columns, at + (row / 4) * packing.groupBytes(columns))
      if (slice.isOver) await slice.pause(signal)
    }
  }
}
