// The file that Piscina starts in every thread. Opens the banks once, then takes a seat in the team whenever asked.

import { workerData } from 'piscina'
import { ExpertStore } from '../model/expertStore.js'
import { Forward } from '../model/forward.js'
import { Profile } from '../model/profile.js'
import { openStreaming, type StreamingMemory } from '../model/streaming.js'
import { Thread } from '../model/thread.js'
import { PILE } from '../residency/expertFiller.js'
import { takeStagingPages } from '../residency/stagingPages.js'
import { attend } from '../team/attendant.js'
import type { Crew } from '../team/crew.js'
import { type SeatError, type SeatTask, takeSeat } from '../team/seat.js'
import { createMemories, openBank } from '../weights/bank.js'
import { FileReader, type KnownFile } from '../weights/fileReader.js'
import { fillBanks } from '../weights/fillBanks.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import { WeightCheck } from './check/weightCheck.js'
import { command, readPart, readStep } from './mailbox.js'

/** What every worker of a model gets. */
export interface WorkerData {
  readonly module: WebAssembly.Module
  readonly memories: readonly WebAssembly.Memory[]
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly files: readonly KnownFile[]
  readonly mailbox: Int32Array
  /** Where stages are timed (profile.ts), if they are. */
  readonly times: Float64Array | undefined
  /** (threads, FINDINGS): weightFindings.ts. */
  readonly findings: Float64Array
  /** If experts come and go. */
  readonly streaming?: StreamingMemory
}

const { module, memories, config, plan, files, mailbox, streaming, times, findings } = workerData as WorkerData
const banks = memories.map((memory) => openBank(module, memory))
const thread = new Thread(config, plan, banks, times && new Profile(times))
const reader = new FileReader(files, false)
// past the page cache: the slots are the cache, and a second one would take their memory
const direct = new FileReader(files, true)
const experts = streaming && openStreaming(thread, streaming)
const store = new ExpertStore(thread, experts)
const forward = new Forward(thread, store)
const openOwnBank = (bytes: number) => openBank(module, createMemories([bytes])[0]!)
const check = new WeightCheck(thread, store, reader, openOwnBank, findings)

/** Node closes the files of a worker that ends; others are closed here whenever there is nothing to do. */
const closesFiles = 'Bun' in globalThis || 'Deno' in globalThis

export default function seat(task: SeatTask): SeatError | undefined {
  try {
    return sit(task)
  } finally {
    if (closesFiles) for (const files of [reader, direct]) files.close()
  }
}

function sit(task: SeatTask): SeatError | undefined {
  if (experts && task.seat >= task.seats) {
    return attend(task, (attendant) => {
      while (!attendant.dismissed && (experts.filler.read(direct, attendant) || experts.filler.pack(PILE, attendant)));
    })
  }
  return takeSeat(task, (code, crew) => {
    thread.crew = crew
    if (code === command.load) load(crew)
    else if (code === command.check) check.run(readPart(mailbox))
    else forward.run(readStep(mailbox))
  })
}

function load(crew: Crew): void {
  fillBanks(plan.loads, plan.scratch.rooms, reader, banks, crew)
  if (!streaming) return
  crew.barrier()
  takeStagingPages(plan, banks, crew)
}
