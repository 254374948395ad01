// The main thread's side of a loaded model. Owns banks, team and KV cache; runs one call at a time, step by step. Does
// not know text.

import { MixtralError } from '../../base/errors.js'
import type { KernelBuild } from '../kernels/abi.js'
import { compileKernels } from '../kernels/compile.js'
import { Profile, type StageTime } from '../model/profile.js'
import { STAGES } from '../model/stages.js'
import type { Step } from '../model/step.js'
import { createFigures, createStreaming } from '../model/streaming.js'
import { type ExpertFigures, readFigures } from '../residency/expertFigures.js'
import { Team } from '../team/team.js'
import type { TapChoice, TracedRows } from '../trace/taps.js'
import { traceStep } from '../trace/trace.js'
import { createMemories } from '../weights/bank.js'
import { knownFiles } from '../weights/fileReader.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import { mixtralTensors } from '../weights/mixtralTensors.js'
import { PAGE_POSITIONS } from '../weights/pages.js'
import { type Plan, planModel } from '../weights/plan.js'
import type { Weights } from '../weights/weightLoader.js'
import type { CallOptions } from './callOptions.js'
import { CallQueue } from './callQueue.js'
import { FINDINGS, gatherFindings, type WeightFindings } from './check/weightFindings.js'
import { type WeightPart, weightParts } from './check/weightParts.js'
import { checkEngineOptions, type EngineOptions } from './engineOptions.js'
import { KvCache, type Sequence } from './kvCache.js'
import { command, createMailbox, writePart, writeStep } from './mailbox.js'
import type { ModelWorkerData } from './worker.js'

/** The state that main and all sets of threads share. */
type SharedState = Omit<ModelWorkerData, 'streaming'>

interface EngineState extends SharedState {
  readonly team: Team
  readonly figures: Float64Array
}

export class Engine {
  readonly config: MixtralConfig
  readonly plan: Plan
  readonly kernels: KernelBuild
  readonly #team: Team
  readonly #memories: readonly WebAssembly.Memory[]
  readonly #mailbox: Int32Array
  readonly #profile: Profile | undefined
  readonly #figures: Float64Array
  readonly #findings: Float64Array
  readonly #kv: KvCache
  /** The sequence of the last call, open in case the next one goes on with it. */
  #sequence: Sequence
  readonly #queue = new CallQueue()

  private constructor({ config, plan, memories, mailbox, times, findings, team, figures }: EngineState) {
    this.config = config
    this.plan = plan
    this.kernels = plan.build
    this.#team = team
    this.#memories = memories
    this.#mailbox = mailbox
    this.#figures = figures
    this.#profile = times && new Profile(times)
    this.#findings = findings
    this.#kv = new KvCache(plan.pages * PAGE_POSITIONS)
    this.#sequence = this.#kv.open([], 0)
  }

  /**
   * Plans the banks and loads the weights into them. Throws `MODEL` or `UNSUPPORTED` for tensors that do not fit the
   * config, `OPTION`, `MEMORY`, `IO`, and `ABORTED` when the signal fires.
   */
  static async open(config: MixtralConfig, weights: Weights, options: EngineOptions = {}): Promise<Engine> {
    const tensors = mixtralTensors(config, weights.gguf)
    const { build, module } = await compileKernels()
    const checked = checkEngineOptions(options, config.maxPositions)
    const { threads } = checked
    const plan = planModel(config, tensors, { ...checked, build })
    const { streaming } = plan
    const state: SharedState = {
      module,
      memories: createMemories(plan.banks),
      config,
      plan,
      knownFiles: knownFiles(weights.gguf.files),
      mailbox: createMailbox(plan),
      times: options.profile ? Profile.create(threads) : undefined,
      findings: new Float64Array(new SharedArrayBuffer(threads * FINDINGS * 8)),
    }
    const figures = createFigures()
    const shared = (): ModelWorkerData => ({
      ...state,
      ...(streaming && { streaming: createStreaming(config, plan, streaming, figures) }),
    })
    const worker = options.worker ?? new URL('./worker.js', import.meta.url).href
    const team = new Team({ threads, backgroundThreads: streaming?.readers ?? 0, worker, shared })
    const engine = new Engine({ ...state, team, figures })
    try {
      await engine.#load(options)
    } catch (error) {
      await team.close()
      throw error
    }
    return engine
  }

  async #load({ onProgress, signal }: EngineOptions): Promise<void> {
    const total = this.plan.loads.reduce((sum, { slice }) => sum + slice.bytes, 0)
    const stop = new AbortController()
    // what a timer throws, no caller catches
    const report = () => {
      try {
        onProgress?.({ loaded: Math.min(total, this.#team.progress), total })
      } catch (error) {
        stop.abort(error)
      }
    }
    const timer = onProgress && setInterval(report, 100)
    try {
      await this.#team.run(command.load, signal ? AbortSignal.any([signal, stop.signal]) : stop.signal).catch((error: Error) => {
        throw stop.signal.aborted ? stop.signal.reason : error
      })
      onProgress?.({ loaded: total, total })
    } finally {
      clearInterval(timer)
    }
  }

  /**
   * Goes on with what the KV cache holds of `ids`, of this or of earlier calls; the last of them is run again in any case.
   * Returns how many tokens that is. Call within `exclusive`.
   */
  reuse(ids: readonly number[]): number {
    const most = ids.length - 1
    const common = Math.min(commonPrefix(this.#sequence.ids, ids), most)
    const other = this.#kv.open(ids, most)
    if (other.ids.length > common) {
      this.#kv.close(this.#sequence)
      this.#sequence = other
    } else {
      this.#kv.close(other)
      this.#kv.rewind(this.#sequence, common)
    }
    return this.#sequence.ids.length
  }

  /**
   * The counts of streamed experts since `earlier`, or since the model was loaded; undefined if experts are not
   * streamed.
   */
  expertFigures(earlier?: ExpertFigures): ExpertFigures | undefined {
    return this.plan.streaming ? readFigures(this.#figures, earlier) : undefined
  }

  /**
   * Waits for the calls before, and holds the engine until the result is called. Throws `ABORTED` when the signal fires
   * first, and `CLOSED`.
   */
  enter(signal?: AbortSignal): Promise<() => void> {
    return this.#queue.enter(signal)
  }

  /** Holds the engine while `call` runs. */
  async exclusive<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const leave = await this.enter(signal)
    try {
      return await call()
    } finally {
      leave()
    }
  }

  /**
   * Computes the logits after the last of `ids`: (vocabulary). Keeps the cached tokens that `ids` begins with, and
   * drops the others. Call within `exclusive`. Throws `CONTEXT` when the tokens do not fit, `TOKENIZER` for an id
   * outside the vocabulary, `ABORTED`.
   */
  async evaluate(ids: readonly number[], options: CallOptions = {}): Promise<Float32Array> {
    this.#check(ids)
    this.reuse(ids)
    await this.#run(
      ids,
      options,
      (count, done) => (done + count === ids.length ? [count - 1] : []),
      () => {},
    )
    return this.#logits(0)
  }

  /** Computes the logits after every one of `ids`: (tokens, vocabulary). Call within `exclusive`. */
  async evaluateAll(ids: readonly number[], options: CallOptions = {}): Promise<Float32Array> {
    this.#check(ids)
    const { vocabSize } = this.config
    const all = new Float32Array(ids.length * vocabSize)
    const keep = (count: number, done: number) => {
      for (let i = 0; i < count; i++) all.set(this.#logits(i), (done + i) * vocabSize)
    }
    this.#kv.rewind(this.#sequence, 0)
    await this.#run(ids, options, (count) => [...Array(count).keys()], keep)
    return all
  }

  /**
   * Runs `ids` on an empty cache, and yields the chosen intermediate tensors of one step after the other, in the order
   * in which they are computed. Call within `exclusive`. Empties the cache.
   */
  async *trace(ids: readonly number[], choice: TapChoice, { signal, onProgress }: CallOptions = {}): AsyncGenerator<TracedRows> {
    this.#check(ids)
    this.reset()
    const runStep = (step: Step) => this.#step(step, signal)
    const { table } = this.#sequence
    this.#kv.extend(this.#sequence, ids.length)
    for (let position = 0; position < ids.length; position += this.plan.batchSize) {
      const tokens = ids.slice(position, position + this.plan.batchSize)
      const banks = { config: this.config, plan: this.plan, memories: this.#memories }
      const segment = { firstRow: 0, rows: tokens.length, position, table }
      for await (const tensor of traceStep(banks, runStep, { tokens, segment, choice })) yield { ...tensor, position }
      onProgress?.({ loaded: position + tokens.length, total: ids.length })
    }
  }

  /**
   * Checks the weights part by part, in the order of the layers: memory against the file, products against the oracle.
   * Call within `exclusive`.
   */
  async *checkWeights({ signal, onProgress }: CallOptions = {}): AsyncGenerator<WeightPart & WeightFindings> {
    const parts = weightParts(this.plan, this.config)
    const total = parts.reduce((sum, { slice }) => sum + slice.bytes, 0)
    let loaded = 0
    for (const [index, part] of parts.entries()) {
      writePart(this.#mailbox, index)
      await this.#team.run(command.check, signal)
      loaded += part.slice.bytes
      onProgress?.({ loaded, total })
      yield { ...part, ...gatherFindings(this.#findings) }
    }
  }

  /** The times of the stages since the last call; none without the option `profile`. Call within `exclusive`. */
  takeProfile(): StageTime[] {
    return this.#profile?.take() ?? []
  }

  /** Empties the cache. */
  reset(): void {
    this.#kv.close(this.#sequence)
    this.#kv.clear()
    this.#sequence = this.#kv.open([], 0)
  }

  /** Ends the threads; running and waiting calls fail with `CLOSED`. */
  async close(): Promise<void> {
    this.#queue.close()
    await this.#team.close()
  }

  /**
   * Runs what the sequence does not have of ids, step by step. wanted: the rows of a step that get logits; after: called
   * after each step. done: tokens of ids before the step.
   */
  async #run(
    ids: readonly number[],
    { signal, onProgress }: CallOptions,
    wanted: (count: number, done: number) => number[],
    after: (count: number, done: number) => void,
  ): Promise<void> {
    const sequence = this.#sequence
    const position = sequence.ids.length
    const layers = { firstLayer: 0, endLayer: this.config.layers, firstStage: 0, endStage: STAGES }
    for (let done = position; done < ids.length; ) {
      const count = Math.min(this.plan.batchSize, ids.length - done)
      const tokens = ids.slice(done, done + count)
      const copies = this.#kv.extend(sequence, count)
      if (!copies) throw new MixtralError('CONTEXT', `${ids.length} tokens, the KV cache has space for ${this.#kv.pages * PAGE_POSITIONS}`)
      const segments = [{ firstRow: 0, rows: count, position: done, table: sequence.table }]
      try {
        await this.#step({ ...layers, tokens, segments, wanted: wanted(count, done), copies, embed: true, traced: false }, signal)
      } finally {
        this.#kv.copied(copies)
      }
      this.#kv.commit(sequence, tokens)
      after(count, done)
      done += count
      onProgress?.({ loaded: done - position, total: ids.length - position })
    }
  }

  async #step(step: Step, signal?: AbortSignal): Promise<void> {
    writeStep(this.#mailbox, this.plan, step)
    await this.#team.run(command.step, signal)
  }

  /** A copy of one row of the logits area. */
  #logits(row: number): Float32Array {
    const { output, logitsAt } = this.plan
    const start = logitsAt + row * Math.ceil(output.rows / 4) * 16
    return new Float32Array(this.#memories[output.bank]!.buffer, start, output.rows).slice()
  }

  #check(ids: readonly number[]): void {
    const { vocabSize } = this.config
    const { contextLength } = this.plan
    if (!ids.length) throw new MixtralError('OPTION', 'no tokens, expected at least one')
    if (ids.length > contextLength) throw new MixtralError('CONTEXT', `${ids.length} tokens, the context has room for ${contextLength}`)
    const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
    if (wrong >= 0) throw new MixtralError('TOKENIZER', `token ${wrong} has id ${ids[wrong]}, expected a whole number below ${vocabSize}`)
  }
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}
