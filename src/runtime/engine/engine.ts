// The main thread's side of a loaded model. Owns banks, team and KV cache; runs one call at a time, step by step. Does
// not know text.

import { MixtralError, shown } from '../../base/errors.js'
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
import { type Plan, planModel } from '../weights/plan.js'
import type { Weights } from '../weights/weightLoader.js'
import type { CallOptions } from './callOptions.js'
import { CallQueue } from './callQueue.js'
import { FINDINGS, gatherFindings, type WeightFindings } from './check/weightFindings.js'
import { type WeightPart, weightParts } from './check/weightParts.js'
import { CurrentSequence } from './currentSequence.js'
import { checkEngineOptions, type EngineOptions } from './engineOptions.js'
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
  readonly #sequence: CurrentSequence
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
    this.#sequence = new CurrentSequence(plan.pages)
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
   * Goes on with what the KV cache holds of `ids`, of this or of earlier calls; the last of them is run again in any
   * case. Returns how many tokens that is. Call within `exclusive`.
   */
  reuse(ids: readonly number[]): number {
    return this.#sequence.reuse(ids)
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
   * Computes the logits after the last of `tokens`: (vocabulary). Keeps the cached tokens that they begin with, and
   * drops the others. Call within `exclusive`. Throws `CONTEXT` when the tokens do not fit, `TOKENIZER` for an id
   * outside the vocabulary, `ABORTED`.
   */
  async evaluate(tokens: readonly number[], options: CallOptions = {}): Promise<Float32Array> {
    const ids = this.checked(tokens)
    this.reuse(ids)
    await this.#run(
      ids,
      options,
      (count, done) => (done + count === ids.length ? [count - 1] : []),
      () => {},
    )
    return this.#logits(0)
  }

  /** Computes the logits after every one of `tokens`: (tokens, vocabulary). Call within `exclusive`. */
  async evaluateAll(tokens: readonly number[], options: CallOptions = {}): Promise<Float32Array> {
    const ids = this.checked(tokens)
    const { vocabSize } = this.config
    const all = new Float32Array(ids.length * vocabSize)
    const keep = (count: number, done: number) => {
      for (let i = 0; i < count; i++) all.set(this.#logits(i), (done + i) * vocabSize)
    }
    this.#sequence.restart()
    await this.#run(ids, options, (count) => [...Array(count).keys()], keep)
    return all
  }

  /**
   * Runs `prompt` on an empty cache, and yields the chosen intermediate tensors of one step after the other, in the
   * order in which they are computed. Call within `exclusive`. Empties the cache.
   */
  async *trace(prompt: readonly number[], choice: TapChoice, { signal, onProgress }: CallOptions = {}): AsyncGenerator<TracedRows> {
    const ids = this.checked(prompt)
    this.reset()
    const runStep = (step: Step) => this.#step(step, signal)
    this.#sequence.extend(ids.length)
    const { table } = this.#sequence
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
    this.#sequence.reset()
  }

  /** Ends the threads; running and waiting calls fail with `CLOSED`. */
  async close(): Promise<void> {
    this.#queue.close()
    await this.#team.close()
  }

  /**
   * Runs what the sequence does not have of ids, step by step. wanted: the rows of a step that get logits; after:
   * called after each step. done: tokens of ids before the step.
   */
  async #run(
    ids: readonly number[],
    { signal, onProgress }: CallOptions,
    wanted: (count: number, done: number) => number[],
    after: (count: number, done: number) => void,
  ): Promise<void> {
    const sequence = this.#sequence
    const position = sequence.length
    const layers = { firstLayer: 0, endLayer: this.config.layers, firstStage: 0, endStage: STAGES }
    for (let done = position; done < ids.length; ) {
      const count = Math.min(this.plan.batchSize, ids.length - done)
      const tokens = ids.slice(done, done + count)
      await sequence.run(tokens, (copies) => {
        const segments = [{ firstRow: 0, rows: count, position: done, table: sequence.table }]
        return this.#step({ ...layers, tokens, segments, wanted: wanted(count, done), copies, embed: true, traced: false }, signal)
      })
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

  /**
   * A copy of tokens that a caller may change while a call waits or runs. Throws `OPTION` for no list of tokens,
   * `CONTEXT` when they do not fit, `TOKENIZER` for an id outside the vocabulary.
   */
  checked(tokens: readonly number[]): number[] {
    const { vocabSize } = this.config
    const { contextLength } = this.plan
    if (!Array.isArray(tokens) && !ArrayBuffer.isView(tokens)) {
      throw new MixtralError('OPTION', `the tokens are ${shown(tokens)}, expected a list of token ids`)
    }
    const ids: number[] = Array.from(tokens)
    if (!ids.length) throw new MixtralError('OPTION', 'no tokens, expected at least one')
    if (ids.length > contextLength) throw new MixtralError('CONTEXT', `${ids.length} tokens, the context has room for ${contextLength}`)
    const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
    if (wrong >= 0)
      throw new MixtralError('TOKENIZER', `token ${wrong} has id ${shown(ids[wrong])}, expected a whole number below ${vocabSize}`)
    return ids
  }
}
