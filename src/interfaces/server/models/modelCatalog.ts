// The models of this machine, for a server: what programs make to serve more than one. What it does is in
// catalogHost.ts.

import { CatalogHost } from './catalogHost.js'
import { type CatalogOptions, checkCatalogOptions } from './catalogOptions.js'
import { LocalOffers } from './localOffers.js'

/** What the server of a catalog asks. */
export let hostOf: (catalog: ModelCatalog) => CatalogHost

/**
 * Models for `serve` and `createApp` that are loaded when a request asks for them.
 * @example
 * const models = await ModelCatalog.open({ keepAliveSeconds: 600 })
 * const server = await serve(models, { port: 11434 })
 */
export class ModelCatalog {
  readonly #host: CatalogHost

  static {
    hostOf = (catalog) => catalog.#host
  }

  private constructor(host: CatalogHost) {
    this.#host = host
  }

  /** Reads no weights. Throws `OPTION`, and `IO` for a model of `models` that is not on this machine. */
  static async open(options: CatalogOptions = {}): Promise<ModelCatalog> {
    checkCatalogOptions(options)
    return new ModelCatalog(new CatalogHost(await LocalOffers.open(options.models), options))
  }

  /** The names of those that are in memory, the last used first. */
  get loaded(): string[] {
    return this.#host.loaded().map(({ offered }) => offered.name)
  }

  /** Ends all loads and unloads all models. Running answers fail with `CLOSED`. Never throws. */
  async close(): Promise<void> {
    await this.#host.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
