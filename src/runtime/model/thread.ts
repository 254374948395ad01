// One thread's constants over the life of a model: the plan, its view of every bank, and the crew it works with. Owns
// the two ways to share out a stage among threads. Does not know what a stage computes.

import type { ActivationKind } from '../../format/quants/activations.js'
import type { AdaptedPlan } from '../adapters/placedAdapters.js'
import { activationBlock } from '../kernels/packing.js'
import type { Crew } from '../team/crew.js'
import type { Bank } from '../weights/bank.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import { type InputRows, rowAt, type Scratch } from '../weights/scratch.js'
import type { Linear } from './linear.js'
import type { Profile } from './profile.js'
import { mostGroups, RowUnits } from './rowUnits.js'
import type { Stage } from './step.js'

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
  readonly #rowUnits: RowUnits

  constructor(config: MixtralConfig, plan: Plan, banks: readonly Bank[], profile?: Profile, adapted?: AdaptedPlan) {
    this.profile = profile
    this.adapted = adapted
    this.config = config
    this.plan = plan
    this.scratch = plan.scratch
    this.banks = banks
    this.#rowUnits = new RowUnits(plan.threads)
  }

  /** Address of this thread's private scratch, the same in every bank. */
  get privateAt(): number {
    return rowAt(this.scratch.threadScratch, this.crew.seat)
  }

  /** Runs one stage: `work(unit)` for units 0 .. count - 1, shared among the threads. Returns when all are done. */
  each(stage: Stage, count: number, work: (unit: number) => void): void {
    const { crew, profile } = this
    const began = profile ? performance.now() : 0
    for (let unit = crew.claim(count); unit < count; unit = crew.claim(count)) work(unit)
    const worked = profile ? performance.now() : 0
    crew.barrier()
    profile?.add(crew.seat, stage, began, worked, performance.now())
  }

  /**
   * Runs one stage over the rows of several matrices: `work(which, first group, groups)`.
   * @param tokens the most that a matrix is multiplied with
   */
  eachRows(stage: Stage, linears: readonly Linear[], tokens: number, work: (which: number, first: number, groups: number) => void): void {
    const { crew, profile } = this
    let columns = 0
    for (const linear of linears) columns = Math.max(columns, linear.columns)
    const cut = this.#rowUnits.of(linears, mostGroups(tokens, columns))
    const units = cut.length / 3
    const began = profile ? performance.now() : 0
    for (let unit = crew.claim(units); unit < units; unit = crew.claim(units)) work(cut[3 * unit]!, cut[3 * unit + 1]!, cut[3 * unit + 2]!)
    const worked = profile ? performance.now() : 0
    crew.barrier()
    profile?.add(crew.seat, stage, began, worked, performance.now())
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
