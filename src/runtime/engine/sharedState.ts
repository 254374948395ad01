// The memory that the main thread and all sets of threads of a model share, made before any thread is. Owns what there
// is; what it means is in the files that its parts come from.

import type { AdaptedPlan } from '../adapters/placedAdapters.js'
import type { WasmModule } from '../kernels/abi.js'
import { Profile } from '../model/profile.js'
import { Routes } from '../model/routes.js'
import { JobMemory } from '../sampler/jobMemory.js'
import { createMemories } from '../weights/bank.js'
import type { KnownFile } from '../weights/fileReader.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'
import { createFindings } from './check/weightFindings.js'
import { unitsOf, weightParts } from './check/weightParts.js'
import { createMailbox } from './mailbox.js'
import type { ModelWorkerData } from './worker.js'

/** What threads get. Each set of threads has its own for the reading of experts, which is not here. */
export type SharedState = Omit<ModelWorkerData, 'streaming'>

interface StateOptions {
  readonly module: WasmModule
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly adapted: AdaptedPlan | undefined
  readonly files: readonly KnownFile[]
  /** Whether stages are timed. */
  readonly profile: boolean
}

/** As many long jobs as those of a draft are, under a constraint over a vocabulary of 128,000. */
const DRAFT_JOBS = 6

/** Throws `MEMORY` if the system refuses a bank. */
export function createSharedState({ module, config, plan, adapted, files, profile }: StateOptions): SharedState {
  const { batchSize, sequences, threads } = plan
  return {
    module,
    memories: createMemories([...plan.banks, ...(adapted?.banks ?? [])]),
    adapted,
    config,
    plan,
    knownFiles: files,
    mailbox: createMailbox(plan),
    jobs: JobMemory.create(batchSize, Math.max(sequences, DRAFT_JOBS)),
    routes: Routes.create(config, batchSize),
    times: profile ? Profile.create(threads) : undefined,
    findings: createFindings(threads, Math.max(...weightParts(plan, config).map(({ slice }) => unitsOf(slice)))),
  }
}
