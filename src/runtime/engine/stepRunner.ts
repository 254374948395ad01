// Runs steps on the team, and reads what they leave in shared memory: logits, choices, the experts of each row. Owns
// that memory's views and the counts of uses; which rows a step has is not its business.

import { type FullRouting, Routes } from '../model/routes.js'
import { STAGES, type Step } from '../model/step.js'
import type { Choice } from '../sampler/job.js'
import { JobMemory } from '../sampler/jobMemory.js'
import type { Team } from '../team/team.js'
import { rowAt } from '../weights/scratch.js'
import { command, writeStep } from './mailbox.js'
import type { Runner } from './stepResults.js'
import type { Rows } from './stepRows.js'
import type { ModelWorkerData } from './worker.js'

type StepMemory = Pick<ModelWorkerData, 'config' | 'plan' | 'memories' | 'mailbox' | 'jobs' | 'routes'>

export class StepRunner implements Runner {
  readonly #team: Team
  readonly #memory: StepMemory
  readonly #jobs: JobMemory
  readonly #routes: Routes
  readonly #uses: Float64Array
  /** How many experts each row of the last step had: (rows). */
  #used: Int32Array = new Int32Array(0)

  constructor(team: Team, memory: StepMemory) {
    const { config, plan, jobs, routes } = memory
    this.#team = team
    this.#memory = memory
    this.#jobs = new JobMemory(plan.batchSize, jobs)
    this.#routes = new Routes(config, routes)
    this.#uses = new Float64Array(config.layers * config.experts)
  }

  /** How often each expert was used: (layers, experts). A copy. */
  get uses(): Float64Array {
    return this.#uses.slice()
  }

  async run(rows: Rows, signal: AbortSignal): Promise<boolean[]> {
    const { config } = this.#memory
    const layers = { firstLayer: 0, endLayer: config.layers, firstStage: 0, endStage: STAGES }
    const jobs = this.#jobs.write(rows.jobs)
    await this.step({ ...rows, jobs, ...layers, embed: true, traced: false }, signal)
    const used = new Int32Array(rows.tokens.length)
    for (const segment of rows.segments) used.fill(segment.used, segment.firstRow, segment.firstRow + segment.rows)
    this.#used = used
    return jobs.map((place) => place > 0)
  }

  /** Runs any step. Throws what `Team.run` throws. */
  async step(step: Step, signal?: AbortSignal): Promise<void> {
    const { mailbox, plan } = this.#memory
    writeStep(mailbox, plan, step)
    await this.#team.run(command.step, signal)
  }

  logits(row: number): Float32Array {
    const { plan, memories } = this.#memory
    const { output, logitsAt } = plan
    const start = logitsAt + row * Math.ceil(output.rows / 4) * 16
    return new Float32Array(memories[output.bank]!.buffer, start, output.rows)
  }

  hidden(row: number): Float32Array {
    const { config, plan, memories } = this.#memory
    const { output, scratch } = plan
    return new Float32Array(memories[output.bank]!.buffer, rowAt(scratch.inputs.f32!, row), config.hiddenSize)
  }

  choice(row: number): Choice {
    return this.#jobs.choice(row)
  }

  routing(row: number): FullRouting {
    return this.#routes.read(row, this.#used[row]!)
  }

  copyRouting(row: number, count: number, table: FullRouting, place: number): void {
    this.#routes.copy(row, count, this.#used[row]!, table, place)
  }

  countUses(row: number, count: number): void {
    if (count > 0) this.#routes.count(row, count, this.#used[row]!, this.#uses)
  }

  routingView(row: number): FullRouting {
    return this.#routes.view(row, this.#used[row]!)
  }
}
