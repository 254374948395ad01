// One thread's constants over the life of a model: the plan, its view of every bank, and the crew it works with. Owns
// the two ways to share out a stage among threads. Does not know what a stage computes.

import type { ActivationKind } from '../../format/quants/activations.js'
import type { AdaptedPlan } from '../adapters/placedAdapters.js'
import { activationBlock } from '../kernels/packing.js'
import { type Crew, unitFinder } from '../team/crew.js'
import type { Bank } from '../weights/bank.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import { type InputRows, rowAt, type Scratch } from '../weights/scratch.js'
import type { Linear } from './linear.js'
import type { Profile } from './profile.js'
import type { Stage } from './step.js'

/** A product of fewer tokens takes mostly the time to read the weights. */
export const FEW_TOKENS = 8
/** Columns of rows of which few stay in the core's cache. */
const LONG_ROWS = 8192
/** Groups of four rows of a unit: at most for any number of tokens, for few, and for one. */
const UNIT_GROUPS = [16, 32, 64] as const

export class Thread {
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly scratch: Scratch
  /** Those of adapters are behind those of the plan. */
  readonly banks: readonly Bank[]
  readonly adapted: AdaptedPlan | undefined
  /** Replaced at every command: a worker may take another seat next time. */
  crew!: Crew
  readonly profile: Profile | undefined

  constructor(config: MixtralConfig, plan: Plan, banks: readonly Bank[], profile?: Profile, adapted?: AdaptedPlan) {
    this.profile = profile
    this.adapted = adapted
    this.config = config
    this.plan = plan
    this.scratch = plan.scratch
    this.banks = banks
  }

  /** Address of this thread's private scratch, the same in every bank. */
  get privateAt(): number {
    return rowAt(this.scratch.threadScratch, this.crew.seat)
  }

  /** Runs one stage: `work(unit)` for units 0 .. count - 1, shared among the threads. Returns when all are done. */
  each(stage: Stage, count: number, work: (unit: number) => void): void {
    const { crew, profile } = this
    const began = profile ? performance.now() : 0
    for (let unit = crew.claim(); unit < count; unit = crew.claim()) work(unit)
    const worked = profile ? performance.now() : 0
    crew.barrier()
    profile?.add(crew.seat, stage, began, worked, performance.now())
  }

  /**
   * Runs one stage over the rows of several matrices: `work(which, first group, groups)`.
   * @param tokens the most that a matrix is multiplied with
   */
  eachRows(stage: Stage, linears: readonly Linear[], tokens: number, work: (which: number, first: number, groups: number) => void): void {
    const total = linears.reduce((sum, { groups }) => sum + groups, 0)
    const long = linears.some(({ columns }) => columns > LONG_ROWS)
    const most = UNIT_GROUPS[tokens === 1 ? 2 : tokens < FEW_TOKENS && !long ? 1 : 0]
    // enough units to even out the threads, few enough to cost little; whole groups for a unit's four strips
    const size = Math.min(most, Math.max(4, Math.ceil(total / (this.crew.seats * 8) / 4) * 4))
    const counts = linears.map(({ groups }) => Math.ceil(groups / size))
    const find = unitFinder(counts)
    this.each(
      stage,
      counts.reduce((sum, n) => sum + n, 0),
      (number) => {
        const { part, unit } = find(number)!
        const first = unit * size
        work(part, first, Math.min(size, linears[part]!.groups - first))
      },
    )
  }

  /** Quantizes columns 0 .. `columns` - 1 of a float32 row to each activation format in `kinds`. */
  quantize(bank: Bank, areas: InputRows, kinds: ReadonlySet<ActivationKind>, row: number, columns: number): void {
    const source = rowAt(areas.f32!, row)
    for (const kind of kinds) {
      if (kind === 'f32') continue
      const blocks = columns / activationBlock[kind]
      bank.kernels[`quantize_${kind}`](source, blocks, rowAt(areas[kind]!, row), blocks, 0)
    }
  }

  /** Copies bytes to the same address in another bank. */
  copy(from: number, to: number, at: number, bytes: number): void {
    if (from !== to) this.banks[to]!.bytes.set(this.banks[from]!.bytes.subarray(at, at + bytes), at)
  }
}
