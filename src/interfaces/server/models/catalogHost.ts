// The models of this machine behind a server: by name, loaded when they are asked for, unloaded when nobody asks or
// another one needs the memory. Connects names, headers and the memory plan with what is in memory (residents.ts), and
// tells what all do at a moment, as one.

import { closedError } from '../../../base/errors.js'
import { onRejection, unless } from '../../../base/onAbort.js'
import type { EngineStatus } from '../../../runtime/engine/status.js'
import { collectGarbage } from '../../../runtime/machine/collect.js'
import { memoryBudget } from '../../../runtime/machine/memory.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { ApiError, badRequest } from '../apiError.js'
import type { ServedModel } from '../servedModel.js'
import type { CatalogEvent, CatalogLoadOptions, CatalogOptions } from './catalogOptions.js'
import { LoadableModel, type ModelInMemory } from './loadableModel.js'
import type { FoundModel, LocalOffers } from './localOffers.js'
import { ModelHeaders } from './modelHeaders.js'
import type { AskOptions, LoadedModel, ModelHost, OfferedModel, Wishes } from './modelHost.js'
import { type Lease, Residents } from './residents.js'

/** As the options of loading have it. */
const DEFAULT_SEQUENCES = 8
/** Spellings of names that are remembered, so that a request for what is in memory reads no disk. */
const MOST_NAMES = 1000

export class CatalogHost implements ModelHost {
  readonly sequences: number
  readonly #offers: LocalOffers
  readonly #load: CatalogLoadOptions
  readonly #headers = new ModelHeaders()
  readonly #residents: Residents<ModelInMemory>
  #onEvent: (event: CatalogEvent) => unknown
  /** Names in requests that were found. */
  readonly #names = new Map<string, Pick<FoundModel, 'name' | 'key'>>()
  /** Models whose files change now, until they have. */
  readonly #changing = new Map<string, Promise<void>>()
  /** Of the models that have been unloaded. */
  readonly #before: Counts = { steps: 0, draftedTokens: 0, acceptedTokens: 0 }
  readonly #loads = { loaded: 0, failed: 0 }
  /** Memory there was when nothing was loaded. */
  #empty = 0
  #closed = false

  constructor(offers: LocalOffers, { keepAliveSeconds = 300, load = {}, onEvent = () => {} }: CatalogOptions) {
    this.#offers = offers
    this.#load = load
    this.#onEvent = onEvent
    this.sequences = load.sequences ?? DEFAULT_SEQUENCES
    this.#residents = new Residents({ keepAliveSeconds, room: (taken, freed) => this.#room(taken, freed), reclaim: collectGarbage })
  }

  async list(): Promise<OfferedModel[]> {
    const all: OfferedModel[] = []
    for (const found of await this.#offers.list()) {
      const offered = await this.#headers.offered(found, this.#contextLengthOf(found)).catch(() => undefined)
      if (offered) all.push(offered)
    }
    return all
  }

  async find(asked: string): Promise<OfferedModel | undefined> {
    const found = await this.#offers.find(asked)
    return found && this.#headers.offered(found, this.#contextLengthOf(found))
  }

  async has(asked: string): Promise<boolean> {
    return (await this.#offers.find(asked)) !== undefined
  }

  /** A model that is offered, where it is. */
  locate(asked: string): Promise<FoundModel | undefined> {
    return this.#offers.find(asked)
  }

  /** Throws an ApiError 403 if a model of this name would not be offered. */
  checkOffers(name: string): void {
    if (this.#offers.offers(name)) return
    throw new ApiError(403, `${name} is none of the models that this server offers: it was started with a list`)
  }

  loaded(): LoadedModel[] {
    return this.#residents.list().map(({ value: { offered, served }, ends }) => ({ offered, served, ends }))
  }

  take(asked: string | undefined, { keepAliveSeconds, contextLength }: Wishes = {}): Lease<ServedModel> | undefined {
    const [last] = this.#residents.list()
    const known = asked === undefined ? last && { name: last.value.served.name, key: last.key } : this.#names.get(asked)
    if (known && this.#isToGrow(known.key, contextLength)) return undefined
    const lease = known && this.#residents.take(known.key, keepAliveSeconds)
    return lease && called(lease, known.name, asked)
  }

  async borrow(
    asked: string | undefined,
    { signal, keepAliveSeconds, contextLength }: AskOptions,
  ): Promise<Lease<ServedModel> | undefined> {
    for (;;) {
      if (this.#closed) throw closedError()
      const found = await unless(signal, this.#offers.find(asked ?? (await this.#only())))
      if (!found) return undefined
      const gone = this.#changing.get(found.key) ?? this.#residents.leaving(found.key)
      if (gone) {
        await unless(signal, gone) // and look again: it may have been deleted
        continue
      }
      if (this.#isToGrow(found.key, contextLength)) {
        await this.#residents.evict(found.key, signal)
        continue
      }
      const lease = await this.#residents.borrow(this.#loadable(found, contextLength), { signal, keepAliveSeconds })
      if (this.#names.size >= MOST_NAMES) this.#names.clear()
      if (asked !== undefined) this.#names.set(asked, { name: found.name, key: found.key })
      return called(lease, found.name, asked)
    }
  }

  async unload(asked: string): Promise<'unloads' | undefined> {
    const found = await this.#offers.find(asked)
    if (!found) return undefined
    await this.#residents.unload(found.key)
    return 'unloads'
  }

  /** Unloads a model, also one that is being loaded, and does something to its files before it can be loaded again. */
  async without(asked: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const found = await this.#offers.find(asked)
    let end = () => {}
    const over = new Promise<void>((resolve) => {
      end = resolve
    })
    if (found) this.#changing.set(found.key, over)
    try {
      if (found) await this.#residents.evict(found.key, signal)
      await work()
    } finally {
      this.#names.clear() // they may mean other models now
      if (found && this.#changing.get(found.key) === over) this.#changing.delete(found.key)
      end()
    }
  }

  /** Names may mean other models now. */
  changed(): void {
    this.#names.clear()
  }

  /** Loads since the start, by how they ended. */
  get loads(): { readonly loaded: number; readonly failed: number } {
    return this.#loads
  }

  status(): EngineStatus {
    const all = this.#residents.list().map(({ value }) => value.served.model.status())
    return statusOf(all, this.sequences, this.#before)
  }

  /** Ends all loads and unloads all models. Running answers fail with `CLOSED`. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#residents.close()
  }

  /** What a request without a name means where nothing is in memory. Throws an ApiError 400 if that is not clear. */
  async #only(): Promise<string> {
    const [last] = this.#residents.list()
    if (last) return last.value.served.name
    const names = (await this.list()).map(({ name }) => name)
    const others = names.filter((name) => name !== 'demo')
    if (others.length === 1) return others[0]!
    if (others.length === 0 && names.length === 1) return names[0]!
    const some = others.slice(0, 5).join(', ')
    throw badRequest(`model is required${some && `: expected one of ${others.length}, such as ${some}`}`, 'model')
  }

  /** Whether a model in memory is to be loaded anew for a longer context: there is memory, and nobody uses it. */
  #isToGrow(key: string, contextLength: number | undefined): boolean {
    const value = contextLength === undefined ? undefined : this.#residents.idle(key)
    return value?.canGrow(contextLength!, this.#residents.roomWithout(key)) ?? false
  }

  #loadable(found: FoundModel, contextLength: number | undefined): LoadableModel {
    const told = {
      loaded: ({ memory, loadSeconds, notes }: MixtralModel) => {
        this.#loads.loaded++
        this.#tell({ event: 'loaded', model: found.name, seconds: loadSeconds, memory, notes })
      },
      failed: (error: string) => {
        this.#loads.failed++
        this.#tell({ event: 'failed', model: found.name, error })
      },
      unloaded: ({ steps, draftedTokens, acceptedTokens }: EngineStatus) => {
        this.#before.steps += steps
        this.#before.draftedTokens += draftedTokens
        this.#before.acceptedTokens += acceptedTokens
        this.#tell({ event: 'unloaded', model: found.name })
      },
    }
    return new LoadableModel(found, this.#load, this.#headers, told, contextLength)
  }

  #tell(event: CatalogEvent): void {
    const fail = (error: unknown) => {
      this.#onEvent = () => {}
      process.emitWarning(`the listener of a catalog threw, and is not called again: ${(error as Error)?.message}`)
    }
    try {
      onRejection(this.#onEvent(event), fail)
    } catch (error) {
      fail(error)
    }
  }

  #contextLengthOf({ key }: FoundModel): number | undefined {
    return this.#residents.list().find((one) => one.key === key)?.value.served.model.contextLength
  }

  /**
   * Bytes that the next model may take. The system counts memory as available that models in memory have not yet
   * touched, such as that of their KV cache: so the plans count, too.
   * @param freed bytes that are to be free then, and are in use still
   */
  #room(taken: number, freed: number): number {
    const { ram } = this.#load
    if (ram !== undefined) return Math.max(0, ram - taken)
    const now = memoryBudget() + freed
    if (taken === 0 && freed === 0) this.#empty = now
    return Math.max(0, Math.min(now, this.#empty - taken))
  }
}

/** A lease by the name that a request has used. */
function called(lease: Lease<ModelInMemory>, name: string, asked: string | undefined): Lease<ServedModel> {
  const { value, ...use } = lease
  return { ...use, value: { ...value.served, name, aliases: [...value.served.aliases, ...(asked === undefined ? [] : [asked])] } }
}

/** What has been counted since the beginning. */
type Counts = { -readonly [Name in 'steps' | 'draftedTokens' | 'acceptedTokens']: EngineStatus[Name] }

/**
 * What several models do at a moment, as one.
 * @param before counts of models that are not in memory any more: those of all never fall
 */
function statusOf(all: readonly EngineStatus[], sequences: number, before: Counts): EngineStatus {
  const sum = (of: (one: EngineStatus) => number) => all.reduce((sum, one) => sum + of(one), 0)
  const most = (of: (one: EngineStatus) => number) => all.reduce((most, one) => Math.max(most, of(one)), 0)
  return {
    sequences,
    running: sum(({ running }) => running),
    waiting: sum(({ waiting }) => waiting),
    suspended: sum(({ suspended }) => suspended),
    kvTokens: sum(({ kvTokens }) => kvTokens),
    kvFree: sum(({ kvFree }) => kvFree),
    prefixTokens: sum(({ prefixTokens }) => prefixTokens),
    steps: before.steps + sum(({ steps }) => steps),
    rowsPerStep: most(({ rowsPerStep }) => rowsPerStep),
    stepMs: most(({ stepMs }) => stepMs),
    draftedTokens: before.draftedTokens + sum(({ draftedTokens }) => draftedTokens),
    acceptedTokens: before.acceptedTokens + sum(({ acceptedTokens }) => acceptedTokens),
  }
}
