// The file that Piscina starts in every thread of a model. Opens the banks once, then runs the team's tasks. Owns which
// command runs what. Does not know how a step is computed.

import { workerData } from 'piscina'
import type { AdaptedPlan } from '../adapters/placedAdapters.js'
import type { WasmMemory, WasmModule } from '../kernels/abi.js'
import { ExpertStore } from '../model/expertStore.js'
import { Forward } from '../model/forward.js'
import { Profile } from '../model/profile.js'
import { type RouteMemory, Routes } from '../model/routes.js'
import { openStreaming, type StreamingMemory } from '../model/streaming.js'
import { Thread } from '../model/thread.js'
import { MIN_WAITING } from '../residency/expertReader.js'
import { allocateStagingPages } from '../residency/stagingPages.js'
import { JobMemory } from '../sampler/jobMemory.js'
import { runInBackground } from '../team/background.js'
import type { Crew } from '../team/crew.js'
import { type SeatError, type SeatTask, takeSeat } from '../team/seat.js'
import { createMemories, openBank } from '../weights/bank.js'
import { FileReader, type KnownFile } from '../weights/fileReader.js'
import { loadBanks } from '../weights/loadBanks.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import { WeightCheck } from './check/weightCheck.js'
import type { FindingsMemory } from './check/weightFindings.js'
import { command, readPart, readStep } from './mailbox.js'

/** The workerData of a model's threads. */
export interface ModelWorkerData {
  readonly module: WasmModule
  readonly memories: readonly WasmMemory[]
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly knownFiles: readonly KnownFile[]
  readonly mailbox: Int32Array
  /** The jobs of a step's rows (sampler/jobMemory.ts). */
  readonly jobs: Float64Array
  /** The experts of a step's rows (model/routes.ts). */
  readonly routes: RouteMemory
  /** Where adapters lie, if there are any: in the memories behind those of the plan. */
  readonly adapted?: AdaptedPlan | undefined
  /** The times of stages (profile.ts), if they are measured. */
  readonly times: Float64Array | undefined
  readonly findings: FindingsMemory
  /** Set if experts are streamed. */
  readonly streaming?: StreamingMemory
}

const { module, memories, config, plan, knownFiles, mailbox, jobs, routes, streaming, times, findings, adapted } =
  workerData as ModelWorkerData
const banks = memories.map((memory) => openBank(module, memory))
const thread = new Thread(config, plan, banks, times && new Profile(times), adapted)
const files = new FileReader(knownFiles, false)
// bypasses the page cache: the slots are the cache, and a second one would take memory from them
const direct = new FileReader(knownFiles, true)
const streamed = streaming && openStreaming(thread, streaming)
const store = new ExpertStore(thread, streamed)
const forward = new Forward(thread, store, new JobMemory(plan.batchSize, jobs), new Routes(config, routes))
const openOwnBank = (bytes: number) => openBank(module, createMemories([bytes])[0]!)
const check = new WeightCheck(thread, store, files, openOwnBank, findings)

/** Node closes the files of a worker that ends. Elsewhere they are closed at the end of each task. */
const closesFiles = 'Bun' in globalThis || 'Deno' in globalThis

export default function seat(task: SeatTask): SeatError | undefined {
  try {
    return runTask(task)
  } finally {
    if (closesFiles) for (const reader of [files, direct]) reader.close()
  }
}

function runTask(task: SeatTask): SeatError | undefined {
  if (streamed && task.seat >= task.seats) {
    const { reader } = streamed
    return runInBackground(task, (background) => {
      while (!background.mustLeave && (reader.read(direct, background) || reader.repackOldest(MIN_WAITING, background)));
    })
  }
  return takeSeat(task, (code, crew) => {
    thread.crew = crew
    if (code === command.load) load(crew)
    else if (code === command.check) check.run(readPart(mailbox))
    else forward.run(readStep(mailbox, plan))
  })
}

function load(crew: Crew): void {
  loadBanks(plan.loads, plan.scratch.threadScratch, files, banks, crew)
  if (!streaming) return
  crew.barrier()
  allocateStagingPages(plan, banks, crew)
}
