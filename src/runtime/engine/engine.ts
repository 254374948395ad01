// The main thread's side of a loaded model. Owns banks, team, scheduler and step loop, and the calls that need the
// model for themselves. Does not know text.

import { Told } from '../../base/onAbort.js'
import { TimeSlice } from '../../base/timeSlice.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import type { AdapterNeeds } from '../adapters/placedAdapters.js'
import type { KernelBuild } from '../kernels/abi.js'
import { compileKernels } from '../kernels/compile.js'
import { Profile, type StageTime } from '../model/profile.js'
import type { Step } from '../model/step.js'
import { createFigures, createStreaming } from '../model/streaming.js'
import { type ExpertFigures, readFigures } from '../residency/expertFigures.js'
import { runReported, Team } from '../team/team.js'
import type { TapChoice, TracedRows, TraceLoopOptions } from '../trace/taps.js'
import { traceStep } from '../trace/trace.js'
import { askedGuardBytes, watchGuards } from '../weights/guards.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import { mixtralTensors } from '../weights/mixtralTensors.js'
import { PAGE_POSITIONS } from '../weights/pages.js'
import { type Plan, planModel } from '../weights/plan.js'
import { openedFiles, type Weights } from '../weights/weightLoader.js'
import { type CallOptions, checkTokens, type ForwardOptions, type TokenIds } from './callArguments.js'
import { type FindingsMemory, gatherFindings, type WeightFindings } from './check/weightFindings.js'
import { unitsOf, type WeightPart, weightParts } from './check/weightParts.js'
import { checkEngineOptions, type EngineOptions } from './engineOptions.js'
import { inLentTurns } from './lentTurns.js'
import { AdapterLoading, type LoadedAdapter, type LoadedAdapters } from './loadedAdapters.js'
import { command, writePart } from './mailbox.js'
import type { Task } from './request.js'
import type { RoutedToken } from './routingListeners.js'
import { Scheduler } from './scheduler.js'
import { SessionStore } from './sessionStore.js'
import { createSharedState, type SharedState } from './sharedState.js'
import type { EngineStatus } from './status.js'
import { StepCost } from './stepCost.js'
import { type Handle, StepLoop } from './stepLoop.js'
import { StepRunner } from './stepRunner.js'
import { Turns } from './turns.js'
import type { ModelWorkerData } from './worker.js'

interface EngineState extends SharedState {
  readonly gguf: Gguf
  readonly team: Team
  readonly stepMs: number | undefined
  readonly drafts: boolean | undefined
  readonly figures: Float64Array
  readonly adapters: LoadedAdapters
}

export class Engine {
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly kernels: KernelBuild
  readonly #team: Team
  readonly #memories: readonly WebAssembly.Memory[]
  readonly #mailbox: Int32Array
  readonly #runner: StepRunner
  readonly #profile: Profile | undefined
  readonly #figures: Float64Array
  readonly #findings: FindingsMemory
  /** The adapters, and how much of each counts where a call does not say so. */
  readonly adapters: readonly LoadedAdapter[]
  /** Saves and restores parts of the KV cache. */
  readonly sessions: SessionStore
  readonly turns: Turns
  readonly #scheduler: Scheduler
  readonly #loop: StepLoop
  #unwatch = () => {}

  private constructor(state: EngineState) {
    const { config, plan, memories, mailbox, times, findings, team, stepMs, drafts, figures, adapters } = state
    this.config = config
    this.plan = plan
    this.kernels = plan.build
    this.adapters = adapters.choices
    this.#team = team
    this.#memories = memories
    this.#mailbox = mailbox
    this.#runner = new StepRunner(team, state)
    this.#figures = figures
    this.#profile = times && new Profile(times)
    this.#findings = findings
    const { sequences, batchSize, pages, scratch } = plan
    const { expertsPerToken } = config
    const { pairs } = scratch
    const scales = adapters.choices.map(({ scale }) => scale)
    const rows = { sequences, batchSize, kvTokens: pages * PAGE_POSITIONS, pairs }
    this.#scheduler = new Scheduler({ ...rows, expertsPerToken, adapters: scales })
    this.#loop = new StepLoop(this.#scheduler, new StepCost(stepMs), this.#runner, drafts)
    this.turns = new Turns(this.#loop)
    this.sessions = new SessionStore(this, this.#scheduler, state)
  }

  /**
   * Plans the banks and loads the weights into them. Throws `MODEL` or `UNSUPPORTED` for tensors that do not fit the
   * config, `OPTION`, `MEMORY`, `IO`, and `ABORTED` when the signal fires.
   */
  static async open(config: MixtralConfig, weights: Weights, options: EngineOptions = {}): Promise<Engine> {
    const tensors = mixtralTensors(config, weights.gguf)
    await new TimeSlice().pause(options.signal)
    const { build, module } = await compileKernels()
    const { stepMs, drafts, ...checked } = checkEngineOptions(options, config.maxPositions)
    const { threads } = checked
    const planOf = ({ bytes: adapterBytes, ...needs }: AdapterNeeds) =>
      planModel(config, tensors, { ...checked, ...needs, adapterBytes, build, guardBytes: askedGuardBytes() })
    const { ram = Number.POSITIVE_INFINITY } = checked
    const loading = await AdapterLoading.open(options.adapters, config, planOf, { ram, signal: options.signal })
    const { plan, adapted } = loading
    const { streaming } = plan
    const state = createSharedState({ module, config, plan, adapted, files: openedFiles(weights), profile: options.profile === true })
    const figures = createFigures()
    const shared = (): ModelWorkerData => ({
      ...state,
      ...(streaming && { streaming: createStreaming(config, plan, streaming, figures) }),
    })
    const worker = options.worker ?? new URL('./worker.js', import.meta.url).href
    const adapters = await loading.fill(module, state.memories, options.signal)
    const team = new Team({ threads, backgroundThreads: streaming?.readers ?? 0, worker, shared })
    const engine = new Engine({ ...state, gguf: weights.gguf, team, stepMs, drafts, figures, adapters })
    engine.#unwatch = watchGuards(state.memories, plan.guards)
    try {
      await engine.#load(options)
    } catch (error) {
      await team.close()
      throw error
    }
    return engine
  }

  async #load(options: EngineOptions): Promise<void> {
    const total = this.plan.loads.reduce((sum, { slice }) => sum + slice.bytes, 0)
    await runReported(this.#team, command.load, total, options)
  }

  /**
   * The counts of streamed experts since `earlier`, or since the model was loaded; undefined if experts are not
   * streamed.
   */
  expertFigures(earlier?: ExpertFigures): ExpertFigures | undefined {
    return this.plan.streaming ? readFigures(this.#figures, earlier) : undefined
  }

  /** How often each expert was used since the model was loaded: (layers, experts). A copy. */
  get expertUses(): Float64Array {
    return this.#runner.uses
  }

  /** What runs and waits now. */
  get status(): EngineStatus {
    const { running, waiting, suspended, cache } = this.#scheduler
    const kvTokens = cache.pages * PAGE_POSITIONS
    return {
      sequences: this.plan.sequences,
      running,
      waiting,
      suspended,
      kvTokens,
      kvFree: cache.available * PAGE_POSITIONS,
      prefixTokens: cache.prefixTokens,
      ...this.#loop.figures,
    }
  }

  /** Calls a listener with the experts of every token that runs. Returns a function that ends it. */
  onRouting(listener: (routed: RoutedToken) => void): () => void {
    return this.#loop.onRouting(listener)
  }

  /** Adds a request to those that share steps. */
  submit(task: Task, signal?: AbortSignal): Handle {
    return this.#loop.submit(task, signal)
  }

  /**
   * Computes the logits after the last of `ids`: (vocabulary). What the KV cache holds of them is not run again. Throws
   * `IO`, `THREAD`, `ABORTED`, `CLOSED`.
   */
  async evaluate(ids: readonly number[], options: ForwardOptions = {}): Promise<Float32Array> {
    let logits = new Float32Array(0)
    await this.finish({ ids, from: ids.length - 1, read: (row) => (logits = row.slice()) }, options)
    return logits
  }

  /** Computes the logits after every one of `ids`: (tokens, vocabulary). Throws what `evaluate` throws. */
  async evaluateAll(ids: readonly number[], options: ForwardOptions = {}): Promise<Float32Array> {
    const { vocabSize } = this.config
    const all = new Float32Array(ids.length * vocabSize)
    await this.finish({ ids, from: 0, read: (row, place) => all.set(row, place * vocabSize) }, options)
    return all
  }

  wake(): void {
    this.#loop.wake()
  }

  /** Runs a task to its end. Throws what ends it. */
  finish(task: Omit<Task, 'ended' | 'progress'>, { signal, onProgress, ...experts }: ForwardOptions): Promise<void> {
    const told = new Told(onProgress)
    const progress = onProgress && { progress: (loaded: number, total: number) => told.next({ loaded, total }) }
    return new Promise<void>((resolve, reject) => {
      this.submit({ ...task, ...experts, ...progress, ended: (...failure) => (failure.length ? reject(failure[0]) : resolve()) }, signal)
    }).then(() => told.end())
  }

  /**
   * Runs `prompt` from its first token on, and yields the chosen intermediate tensors of one step after the other, in
   * the order in which they are computed. The loop has turns of its own (lentTurns.ts).
   */
  trace(
    prompt: readonly number[],
    choice: TapChoice,
    { signal, onProgress, hold = false, adapters }: CallOptions & Pick<TraceLoopOptions, 'hold'> & Pick<ForwardOptions, 'adapters'> = {},
  ): AsyncGenerator<TracedRows> {
    const ids = this.checked(prompt)
    let told = 0
    const progress = new Told<number>((loaded) => {
      if (loaded <= told) return // it was run before
      told = loaded
      return onProgress?.({ loaded, total: ids.length })
    })
    return inLentTurns(this.turns, () => this.#trace(ids, choice, signal, progress, adapters), { signal, lends: !hold })
  }

  async *#trace(
    ids: readonly number[],
    choice: TapChoice,
    signal: AbortSignal | undefined,
    progress: Told<number>,
    adapters = this.#scheduler.limits.adapters,
  ): AsyncGenerator<TracedRows> {
    const scheduler = this.#scheduler
    const runStep = (step: Step) => this.#runner.step(step, signal)
    const sequence = scheduler.cache.open([], 0)
    try {
      if (!scheduler.extend(sequence, ids.length)) throw new RangeError('no pages for a trace, which has its turn')
      const { table } = sequence
      for (let position = 0; position < ids.length; position += this.plan.batchSize) {
        const tokens = ids.slice(position, position + this.plan.batchSize)
        const banks = { config: this.config, plan: this.plan, memories: this.#memories }
        const used = this.config.expertsPerToken
        const segment = { firstRow: 0, rows: tokens.length, position, table, used, adapters }
        for await (const tensor of traceStep(banks, runStep, { tokens, segment, choice })) yield { ...tensor, position }
        progress.next(position + tokens.length)
      }
      await progress.end()
    } finally {
      scheduler.cache.close(sequence)
    }
  }

  /**
   * Checks the weights part by part, in the order of the layers: memory against the file, products against the oracle.
   * Each part has a turn of its own.
   */
  async *checkWeights({ signal, onProgress }: CallOptions = {}): AsyncGenerator<WeightPart & WeightFindings> {
    const parts = weightParts(this.plan, this.config)
    const total = parts.reduce((sum, { slice }) => sum + slice.bytes, 0)
    const progress = new Told(onProgress)
    let loaded = 0
    for (const [index, part] of parts.entries()) {
      const findings = await this.turns.exclusive(async () => {
        writePart(this.#mailbox, index)
        await this.#team.run(command.check, signal)
        return gatherFindings(this.#findings, unitsOf(part.slice))
      }, signal)
      loaded += part.slice.bytes
      progress.next({ loaded, total })
      yield { ...part, ...findings }
    }
    await progress.end()
  }

  /** The times of the stages since the last call; none without the option `profile`. Call within a turn. */
  takeProfile(): StageTime[] {
    return this.#profile?.take() ?? []
  }

  /** Empties the KV cache. */
  reset(): void {
    this.#scheduler.cache.clear()
  }

  /** Ends the threads; running and waiting calls fail with `CLOSED`. */
  async close(): Promise<void> {
    this.turns.close()
    this.#loop.close()
    await this.#team.close()
    this.#unwatch()
  }

  /**
   * A copy of tokens that a caller gives, checked against vocabulary and context (callArguments.ts). If the last of
   * them is not run, there is room for one more.
   */
  checked(tokens: TokenIds, { runsLast = true } = {}): number[] {
    return checkTokens(tokens, this.config.vocabSize, this.plan.contextLength, runsLast)
  }
}
