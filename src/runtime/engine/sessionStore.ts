// Saves what the KV cache holds of a text, and puts it back. Owns what a saved session must agree with. The form of the
// file is savedSession.ts's.

import { refuseInput } from '../../base/files/draftFile.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { fingerprint } from '../weights/fingerprint.js'
import { PAGE_POSITIONS } from '../weights/pages.js'
import { NUMERICS } from '../weights/scratch.js'
import { type CallOptions, checkTokenCount, checkTokens } from './callArguments.js'
import { KvBytes } from './kvBytes.js'
import { inputFiles, type LoadedAdapters } from './loadedAdapters.js'
import { kvSalt, type Task } from './request.js'
import { readSession, type SavedSession, type SessionBinding, sessionError, writeSession } from './savedSession.js'
import type { Scheduler } from './scheduler.js'
import type { Turns } from './turns.js'
import type { ModelWorkerData } from './worker.js'

/** What the store needs of an engine. */
interface Runs {
  finish(task: Omit<Task, 'ended' | 'progress'>, options: CallOptions): Promise<void>
  readonly turns: Turns
  /** There are more pages than before: requests that wait for some may go on. */
  wake(): void
}

type SessionModel = Pick<ModelWorkerData, 'plan' | 'memories' | 'config'> & {
  readonly gguf: Gguf
  readonly adapters: LoadedAdapters
}

export class SessionStore {
  readonly #runs: Runs
  readonly #scheduler: Scheduler
  readonly #model: SessionModel
  readonly #kv: KvBytes
  #binding: Promise<SessionBinding> | undefined

  constructor(runs: Runs, scheduler: Scheduler, model: SessionModel) {
    this.#runs = runs
    this.#scheduler = scheduler
    this.#model = model
    this.#kv = new KvBytes(model)
  }

  /**
   * Saves tokens and the full pages of their keys and values; what is not in the cache is run first. Throws `IO`,
   * `OPTION` for metadata that is no JSON and for a file of the model, and what a run throws.
   */
  async save(path: string, ids: readonly number[], metadata: unknown, salt: string, options: CallOptions): Promise<void> {
    const leave = await this.#runs.turns.enterPages(options.signal)
    try {
      await this.#save(path, ids, metadata, salt, options)
    } finally {
      leave()
    }
  }

  async #save(path: string, ids: readonly number[], metadata: unknown, salt: string, options: CallOptions): Promise<void> {
    const { gguf, adapters } = this.#model
    await refuseInput(path, inputFiles({ gguf, adapters: adapters.choices }))
    const binding = await this.#bound()
    if (ids.length) await this.#runs.finish({ ids, from: ids.length - 1, salt, read: () => {} }, options)
    const { cache } = this.#scheduler
    const sequence = cache.open(ids, ids.length, this.#salt(salt)) // holds the pages while they are read; others may read them, too
    try {
      const pages = Math.floor(sequence.ids.length / PAGE_POSITIONS)
      await writeSession(path, binding, { ids, metadata, pages }, (index) => this.#kv.read(sequence.table[index]!))
    } finally {
      cache.close(sequence)
      this.#runs.wake()
    }
  }

  /**
   * Puts a saved session's keys and values into the cache. Throws `SESSION` for a damaged file and one that belongs to
   * another model or version, `CONTEXT` where its tokens do not fit, `IO` and `CLOSED`.
   */
  async restore(path: string, salt: string): Promise<SavedSession> {
    const leave = await this.#runs.turns.enterPages()
    try {
      return await this.#restore(path, salt)
    } finally {
      leave()
    }
  }

  async #restore(path: string, salt: string): Promise<SavedSession> {
    const binding = await this.#bound()
    const { cache } = this.#scheduler
    const { config, plan } = this.#model
    const sequence = cache.open([], 0, this.#salt(salt))
    try {
      const session = await readSession(
        path,
        binding,
        (tokens) => checkTokenCount(tokens, plan.contextLength),
        async ({ ids, pages }, page) => {
          if (ids.some((id) => id >= config.vocabSize)) throw sessionError(path, `a token beyond the vocabulary of ${config.vocabSize}`)
          if (ids.length) checkTokens(ids, config.vocabSize, plan.contextLength)
          // between two steps: others may have to give up their pages
          const places = await this.#runs.turns.exclusive(async () => this.#scheduler.extend(sequence, pages * PAGE_POSITIONS))
          if (!places) throw new RangeError('no pages for a session, which has its turn')
          for (let i = 0; i < pages; i++) {
            const bytes = await page()
            const bad = this.#kv.notFinite(bytes)
            if (bad > 0) throw sessionError(path, `${bad} numbers of page ${i} are not finite, expected none`)
            this.#kv.write(sequence.table[i]!, bytes)
          }
        },
      )
      cache.commit(sequence, session.ids.slice(0, session.pages * PAGE_POSITIONS))
      return session
    } finally {
      cache.close(sequence)
      this.#runs.wake()
    }
  }

  /** A saved session is of the model's own number of experts. */
  #salt(salt: string): string {
    return kvSalt(this.#model.config.expertsPerToken, salt, this.#scheduler.limits.adapters)
  }

  async #bound(): Promise<SessionBinding> {
    this.#binding ??= this.#bind()
    this.#binding.catch(() => {
      this.#binding = undefined // the file may be there again next time
    })
    return this.#binding
  }

  async #bind(): Promise<SessionBinding> {
    const { config, plan, gguf } = this.#model
    const { layers, kvHeads, headDim, ropeDim, ropeTheta, slidingWindow = 0 } = config
    const model = await fingerprint(gguf)
    const { kvFormat } = plan
    const sizes = { page: PAGE_POSITIONS, pageBytes: this.#kv.pageBytes }
    const own = this.#model.adapters.fingerprint
    const adapters = own === undefined ? {} : { adapters: own }
    return { model, numerics: NUMERICS, kvFormat, ...sizes, layers, kvHeads, headDim, ropeDim, ropeTheta, slidingWindow, ...adapters }
  }
}
