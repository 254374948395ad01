// One model of a catalog: what it takes by the plan of memory, and its loading within the room that there is. Experts
// that do not fit stay on disk, as with every command.

import { abortedError, MixtralError, type MixtralErrorCode } from '../../../base/errors.js'
import { inSlices } from '../../../base/timeSlice.js'
import type { Gguf } from '../../../format/gguf/gguf.js'
import { openGguf } from '../../../format/gguf/openGguf.js'
import type { EngineOptions } from '../../../runtime/engine/engineOptions.js'
import { compileKernels } from '../../../runtime/kernels/compile.js'
import { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { roomyKvSteps } from '../../inspect/kvTokens.js'
import { type Loading, residentBytes } from '../../inspect/modelFacts.js'
import { ApiError } from '../apiError.js'
import { type ServedModel, servedModel } from '../servedModel.js'
import type { FoundModel } from './localOffers.js'
import type { ModelHeaders } from './modelHeaders.js'
import type { OfferedModel } from './modelHost.js'
import type { Loadable, Resident } from './residents.js'

export interface ModelInMemory extends Resident {
  readonly served: ServedModel
  readonly offered: OfferedModel
}

interface Plan {
  readonly gguf: Gguf
  readonly loading: Loading & { readonly options: EngineOptions }
}

/** Errors whose messages speak of the model, or of how the server was started. */
const TOLD: readonly MixtralErrorCode[] = ['MEMORY', 'MODEL', 'UNSUPPORTED', 'OPTION']

interface Told {
  loaded(model: MixtralModel): void
  failed(error: string): void
  unloaded(steps: number): void
}

export class LoadableModel implements Loadable<ModelInMemory> {
  readonly #found: FoundModel
  readonly #options: EngineOptions
  readonly #headers: ModelHeaders
  readonly #told: Told
  /** What its header says, until it is loaded: a header may have a large vocabulary. */
  #plan: Promise<Plan> | undefined

  constructor(found: FoundModel, options: EngineOptions, headers: ModelHeaders, told: Told) {
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
      const options = { ...loading.options, ...(Number.isFinite(room) && { ram: room }) } // not all systems tell it
      const sequences = options.sequences ?? 8
      const kvTokens = options.kvTokens ?? (await inSlices(roomyKvSteps(gguf, { ...loading, options }, sequences), signal))
      const model = await MixtralModel.load(local, { ...options, ...(kvTokens !== undefined && { kvTokens }), signal })
      const served = servedModel(model, { name, aliases: [] })
      const offered = await this.#headers.offered(this.#found, model.contextLength).catch(() => undefined)
      if (!offered || signal.aborted) {
        await model.close()
        throw signal.aborted ? abortedError(signal) : new MixtralError('MODEL', 'its file has changed')
      }
      this.#told.loaded(model)
      return {
        ...{ served, offered, bytes: model.memory.totalBytes },
        close: async () => {
          const { steps } = model.status()
          await model.close()
          this.#told.unloaded(steps)
        },
      }
    })
  }

  async #read(signal: AbortSignal): Promise<Plan> {
    const { local } = this.#found
    const [gguf, { build }] = await Promise.all([openGguf(local.path, { signal }), compileKernels()])
    const { ram: _, ...options } = this.#options
    return { gguf, loading: { build, layers: local.layers, options } }
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
    const told = detail.includes(local.path) ? origin : detail
    const status = origin === 'MEMORY' ? 503 : origin === 'MODEL' || origin === 'UNSUPPORTED' ? 501 : 500
    return new ApiError(status, `model ${JSON.stringify(name)} cannot be loaded: ${told}`, { origin })
  }
}
