// One model of a catalog: what it takes by the plan of memory, and its loading within the room that there is. Experts
// that do not fit stay on disk, as with every command.

import { abortedError, MixtralError, type MixtralErrorCode } from '../../../base/errors.js'
import { inSlices } from '../../../base/timeSlice.js'
import type { Gguf } from '../../../format/gguf/gguf.js'
import { openGgufs } from '../../../format/gguf/openGguf.js'
import type { EngineOptions } from '../../../runtime/engine/engineOptions.js'
import type { EngineStatus } from '../../../runtime/engine/status.js'
import { compileKernels } from '../../../runtime/kernels/compile.js'
import { MixtralConfig } from '../../../runtime/weights/mixtralConfig.js'
import { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { adapterMemory } from '../../inspect/adapterFacts.js'
import { roomyKvSteps } from '../../inspect/kvTokens.js'
import { type Loading, planOptions, residentBytes } from '../../inspect/modelFacts.js'
import { ApiError, cannotRun } from '../apiError.js'
import { type ServedModel, servedModel } from '../servedModel.js'
import type { FoundModel } from './localOffers.js'
import type { ModelHeaders } from './modelHeaders.js'
import type { OfferedModel } from './modelHost.js'
import type { Loadable, Resident } from './residents.js'

export interface ModelInMemory extends Resident {
  readonly served: ServedModel
  readonly offered: OfferedModel
  /** Whether another load of it has a longer context for this wish, with all experts in memory. `room`: bytes. */
  canGrow(contextLength: number, room: number): boolean
}

interface Plan {
  readonly gguf: Gguf
  readonly loading: Loading & { readonly options: EngineOptions }
}

/** What is wrong with a file, or with how it is to be loaded: another attempt has the same end. */
const FINAL: readonly MixtralErrorCode[] = ['GGUF', 'MODEL', 'UNSUPPORTED', 'TOKENIZER', 'TEMPLATE', 'OPTION']
/** Errors whose messages speak of the model, or of how the server was started. */
const TOLD: readonly MixtralErrorCode[] = ['MEMORY', 'MODEL', 'UNSUPPORTED', 'OPTION']

interface Told {
  loaded(model: MixtralModel): void
  failed(error: string): void
  /** With the last status that it had. */
  unloaded(status: EngineStatus): void
}

export class LoadableModel implements Loadable<ModelInMemory> {
  readonly #found: FoundModel
  readonly #options: EngineOptions
  readonly #headers: ModelHeaders
  readonly #told: Told
  readonly #wished: number | undefined
  /** What its header says, until it is loaded: a header may have a large vocabulary. */
  #plan: Promise<Plan> | undefined

  /** @param wished the context that is asked for, where it is longer than the model's own */
  constructor(found: FoundModel, options: EngineOptions, headers: ModelHeaders, told: Told, wished?: number) {
    this.#wished = wished
    this.#found = found
    this.#options = options
    this.#headers = headers
    this.#told = told
  }

  get key(): string {
    return this.#found.key
  }

  /** Throws an ApiError for what cannot be loaded. */
  async bytes(signal: AbortSignal): Promise<number> {
    return this.#try(async () => {
      this.#plan = this.#read(signal)
      const { gguf, loading } = await this.#plan
      return residentBytes(gguf, loading)
    })
  }

  /** Throws an ApiError for what cannot be loaded. */
  async load(room: number, signal: AbortSignal): Promise<ModelInMemory> {
    const { name, local } = this.#found
    return this.#try(async () => {
      const { gguf, loading } = await (this.#plan ?? this.#read(signal))
      this.#plan = undefined
      if (room < 1) throw new MixtralError('MEMORY', 'no memory is left for it')
      const options = { ...this.#widened(gguf, loading, room), ...(Number.isFinite(room) && { ram: room }) } // not all systems tell it
      const sequences = options.sequences ?? 8
      const kvTokens = options.kvTokens ?? (await inSlices(roomyKvSteps(gguf, { ...loading, options }, sequences), signal))
      const model = await MixtralModel.load(local, { ...options, ...(kvTokens !== undefined && { kvTokens }), signal })
      const served = servedModel(model, { name, aliases: [] })
      served.mark().catch(() => {}) // the files as they are now, not as they may be later; who asks hears of it
      const offered = await this.#headers.offered(this.#found, model.contextLength).catch(() => undefined)
      if (!offered || signal.aborted) {
        await model.close()
        throw signal.aborted ? abortedError(signal) : new MixtralError('MODEL', 'its file has changed')
      }
      this.#told.loaded(model)
      return {
        ...{ served, offered, bytes: model.memory.totalBytes },
        canGrow: this.#growth(model, loading),
        close: async () => {
          const status = model.status()
          await model.close()
          this.#told.unloaded(status)
        },
      }
    })
  }

  async #read(signal: AbortSignal): Promise<Plan> {
    const { local } = this.#found
    const files = [local.path, ...(local.adapters ?? [])]
    const [[gguf, ...adapters], { build }] = await Promise.all([openGgufs(files, signal), compileKernels()])
    const { ram: _, ...options } = this.#options
    return { gguf: gguf!, loading: { build, layers: local.layers, adapterBytes: adapterMemory(adapters), options } }
  }

  /** The options, with the context that is wished for where that is longer than the model's own and all experts fit. */
  #widened(gguf: Gguf, loading: Plan['loading'], room: number): EngineOptions {
    const config = MixtralConfig.fromGgufMetadata(gguf.metadata)
    const contextLength = this.#contextFor(this.#wished, config)
    if (contextLength <= planOptions(config, loading).contextLength) return loading.options
    const options = { ...loading.options, contextLength }
    return residentBytes(gguf, { ...loading, options }) <= room ? options : loading.options
  }

  #growth({ gguf, config, contextLength }: MixtralModel, loading: Plan['loading']): ModelInMemory['canGrow'] {
    const bytes = new Map<number, number>()
    const least = Math.max(contextLength, this.#contextFor(this.#wished, config)) // what could not be had is not tried again
    return (wished, room) => {
      const longer = this.#contextFor(wished, config)
      if (longer <= least) return false
      if (!bytes.has(longer)) bytes.set(longer, residentBytes(gguf, { ...loading, options: { ...loading.options, contextLength: longer } }))
      return bytes.get(longer)! <= room
    }
  }

  /**
   * The context for a wish: a power of two, so that wishes that grow slowly do not load a model again and again; 0 for
   * none, or where the server was started with a length.
   */
  #contextFor(wished: number | undefined, { maxPositions }: MixtralConfig): number {
    const { contextLength, kvTokens = Infinity } = this.#options
    if (wished === undefined || contextLength !== undefined) return 0
    return Math.min(2 ** Math.ceil(Math.log2(wished)), maxPositions, kvTokens)
  }

  async #try<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const told = this.#explained(error)
      if (told instanceof ApiError) this.#told.failed(told.message)
      throw told
    }
  }

  /** A client is told why, but no path. */
  #explained(error: unknown): unknown {
    if (!(error instanceof MixtralError)) return error
    const { code: origin, message } = error
    if (origin === 'ABORTED' || origin === 'CLOSED') return error
    const { name, local } = this.#found
    const detail = TOLD.includes(origin) ? message : origin
    const told = [local.path, ...(local.adapters ?? [])].some((file) => detail.includes(file)) ? origin : detail
    const why = `model ${JSON.stringify(name)} cannot be loaded: ${told}`
    return FINAL.includes(origin) ? cannotRun(why, origin) : new ApiError(origin === 'MEMORY' ? 503 : 500, why, { origin })
  }
}
