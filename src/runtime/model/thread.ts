// What one thread knows for the whole life of a model: the plan, its view of every bank, the crew it works with. Owns the two ways to share out a stage.

import type { ActivationKind } from '../../format/quants/activations.js'
import { activationBlock } from '../kernels/activation.js'
import type { Crew } from '../team/crew.js'
import type { Bank } from '../weights/bank.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import type { InputRows, Scratch } from '../weights/scratch.js'
import type { Linear } from './linear.js'
import type { Profile, Stage } from './profile.js'

export class Thread {
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly scratch: Scratch
  readonly banks: readonly Bank[]
  /** Replaced at every command: a worker may take another seat next time. */
  crew!: Crew
  readonly profile: Profile | undefined

  constructor(config: MixtralConfig, plan: Plan, banks: readonly Bank[], profile?: Profile) {
    this.profile = profile
    this.config = config
    this.plan = plan
    this.scratch = plan.scratch
    this.banks = banks
  }

  /** This thread's private bytes in every bank. */
  get room(): number {
    const { at, bytes } = this.scratch.rooms
    return at + this.crew.seat * bytes
  }

  /** One stage: `work(unit)` for units 0 .. count - 1, shared among the threads; returns when all are done. */
  each(stage: Stage, count: number, work: (unit: number) => void): void {
    const { crew, profile } = this
    const began = profile ? performance.now() : 0
    for (let unit = crew.claim(); unit < count; unit = crew.claim()) work(unit)
    const worked = profile ? performance.now() : 0
    crew.barrier()
    profile?.add(crew.seat, stage, began, worked, performance.now())
  }

  /** One stage over the rows of several matrices: `work(which, first group, groups)`. */
  eachRows(stage: Stage, linears: readonly Linear[], work: (which: number, first: number, groups: number) => void): void {
    const total = linears.reduce((sum, { groups }) => sum + groups, 0)
    // enough units to even out the threads, few enough to cost little; a unit's four strips want whole groups
    const size = Math.min(16, Math.max(4, Math.ceil(total / (this.crew.seats * 8) / 4) * 4))
    const units = linears.map(({ groups }) => Math.ceil(groups / size))
    this.each(
      stage,
      units.reduce((sum, n) => sum + n, 0),
      (unit) => {
        let which = 0
        while (unit >= units[which]!) unit -= units[which++]!
        const first = unit * size
        work(which, first, Math.min(size, linears[which]!.groups - first))
      },
    )
  }

  /** Makes a row's other kinds from its float32: `columns` of row `row`, in the bank. */
  quantize(bank: Bank, areas: InputRows, kinds: ReadonlySet<ActivationKind>, row: number, columns: number): void {
    const source = areas.f32!.at + row * areas.f32!.bytes
    for (const kind of kinds) {
      if (kind === 'f32') continue
      const area = areas[kind]!
      const blocks = columns / activationBlock[kind]
      bank.kernels[`quantize_${kind}`](source, blocks, area.at + row * area.bytes, blocks, 0)
    }
  }

  /** Copies bytes to the same place in another bank. */
  copy(from: number, to: number, at: number, bytes: number): void {
    if (from !== to) this.banks[to]!.bytes.set(this.banks[from]!.bytes.subarray(at, at + bytes), at)
  }
}
