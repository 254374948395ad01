// The file that Piscina starts in every thread. Opens the banks once, then takes a seat in the team whenever asked.

import { workerData } from 'piscina'
import { type SeatError, type SeatTask, takeSeat } from '../team/seat.js'
import { createMemories, openBank } from '../weights/bank.js'
import { FileReader } from '../weights/fileReader.js'
import { fillBanks } from '../weights/fillBanks.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import { ExpertStore } from './expertStore.js'
import { Forward } from './forward.js'
import { command, readPart, readStep } from './mailbox.js'
import { Profile } from './profile.js'
import { Thread } from './thread.js'
import { WeightCheck } from './weightCheck.js'

/** What every worker of a model gets. */
export interface WorkerData {
  readonly module: WebAssembly.Module
  readonly memories: readonly WebAssembly.Memory[]
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly paths: readonly string[]
  readonly mailbox: Int32Array
  /** Where stages are timed (profile.ts), if they are. */
  readonly times: Float64Array | undefined
  /** (threads, FINDINGS): weightFindings.ts. */
  readonly findings: Float64Array
}

const { module, memories, config, plan, paths, mailbox, times, findings } = workerData as WorkerData
const banks = memories.map((memory) => openBank(module, memory))
const thread = new Thread(config, plan, banks, times && new Profile(times))
const files = new FileReader(paths)
const store = new ExpertStore(thread, files)
const forward = new Forward(thread, store)
const openOwnBank = (bytes: number) => openBank(module, createMemories([bytes])[0]!)
const check = new WeightCheck(thread, store, files, openOwnBank, findings)

export default function seat(task: SeatTask): SeatError | undefined {
  return takeSeat(task, (code, crew) => {
    thread.crew = crew
    if (code === command.load) fillBanks(plan.loads, plan.scratch.rooms, files, banks, crew)
    else if (code === command.check) check.run(readPart(mailbox))
    else forward.run(readStep(mailbox))
  })
}
