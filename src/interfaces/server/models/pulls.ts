// Downloads of models for clients: those who ask for one model share its download, and it ends when the last of them
// has left, as with Ollama. What is on disk by then is kept, and the next pull resumes it.

import { abortedError, MixtralError } from '../../../base/errors.js'
import { unless } from '../../../base/onAbort.js'
import { modelNameText, type RemoteName } from '../../../registry/names/modelName.js'
import { type ModelHeader, obtainModel } from '../../../registry/obtain.js'
import type { PullProgress } from '../../../registry/pull.js'
import { ExchangeError } from '../../../registry/transfer/exchange.js'
import { readAdapterHeader } from '../../../runtime/adapters/ggufAdapter.js'
import { MixtralConfig } from '../../../runtime/weights/mixtralConfig.js'
import { mixtralTensors } from '../../../runtime/weights/mixtralTensors.js'
import { ApiError, cannotRun } from '../apiError.js'

export type FileProgress = PullProgress['file']

/** Downloads of different models at one time. */
const MOST_PULLS = 4
/** Milliseconds between two reports of progress. */
const REPORT_MS = 100

/** One download. */
class Pull {
  /** Of each file that has begun. */
  readonly files = new Map<string, FileProgress>()
  readonly controller = new AbortController()
  readonly ended: Promise<void>
  followers = 0
  isOver = false
  #changed: Promise<void>
  #tell: () => void = () => {}
  #timer: NodeJS.Timeout | undefined

  constructor(name: RemoteName, text: string) {
    this.#changed = this.#next()
    this.ended = this.#run(name, text).finally(() => {
      this.isOver = true
      clearTimeout(this.#timer)
      this.#tell()
    })
    this.ended.catch(() => {}) // told to those who follow
  }

  /** When there is more to tell, or it is over. */
  get changed(): Promise<void> {
    return this.#changed
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      this.#tell = resolve
    })
  }

  async #run(name: RemoteName, text: string): Promise<void> {
    const onProgress = ({ file }: PullProgress) => {
      this.files.set(file.sha256 ?? file.name, file)
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined
        const tell = this.#tell
        this.#changed = this.#next()
        tell()
      }, REPORT_MS)
    }
    try {
      const { signal } = this.controller
      await obtainModel(name, { update: true, signal, onProgress, beforePull: (header) => checkRuns(header, text) })
    } catch (error) {
      throw explained(error, text)
    }
  }
}

export class Pulls {
  readonly #pulls = new Map<string, Pull>()

  /**
   * Downloads what is missing of a model, or joins those who do. Yields the progress of its files. Throws an ApiError,
   * and `ABORTED`.
   */
  async *follow(name: RemoteName, signal: AbortSignal): AsyncGenerator<FileProgress, void> {
    const text = modelNameText(name)
    const pull = this.#join(name, text)
    const told = new Map<string, number>()
    pull.followers++
    try {
      for (;;) {
        const { changed, isOver } = pull
        for (const [key, file] of pull.files) {
          if (told.get(key) === file.loaded) continue
          told.set(key, file.loaded)
          yield file
        }
        if (isOver) return await pull.ended
        await unless(signal, changed)
      }
    } finally {
      pull.followers--
      if (pull.followers === 0 && !pull.isOver) this.#end(text, pull)
    }
  }

  /** Ends all downloads. */
  async close(): Promise<void> {
    const all = [...this.#pulls]
    for (const [text, pull] of all) this.#end(text, pull)
    await Promise.all(all.map(([, { ended }]) => ended.catch(() => {})))
  }

  #join(name: RemoteName, text: string): Pull {
    const known = this.#pulls.get(text)
    if (known) return known
    if (this.#pulls.size >= MOST_PULLS) throw new ApiError(503, `${MOST_PULLS} other models are being pulled, please try again`)
    const pull = new Pull(name, text)
    this.#pulls.set(text, pull)
    const forget = () => {
      if (this.#pulls.get(text) === pull) this.#pulls.delete(text)
    }
    pull.ended.then(forget, forget)
    return pull
  }

  /** Who comes now begins another one, which waits for the lock of this. */
  #end(text: string, pull: Pull): void {
    this.#pulls.delete(text)
    pull.controller.abort(abortedError())
  }
}

/** Throws an ApiError for a model that no machine can run here: it is not worth its download. */
function checkRuns({ gguf, adapters }: ModelHeader, text: string): void {
  try {
    for (const adapter of adapters) readAdapterHeader(adapter)
    mixtralTensors(MixtralConfig.fromGgufMetadata(gguf.metadata), gguf)
  } catch (error) {
    if (!(error instanceof MixtralError)) throw error
    throw cannotRun(`${text} cannot run here: ${error.message}`, error.code)
  }
}

/** What registries and connections say is told; what disks say has paths. */
function explained(error: unknown, text: string): unknown {
  if (!(error instanceof MixtralError) || error.code === 'ABORTED') return error
  const refused = error instanceof ExchangeError ? error : error.cause
  if (refused instanceof ExchangeError) {
    const isAbsent = [401, 403, 404].includes(refused.status)
    return new ApiError(isAbsent ? 404 : 502, `pull model: ${error.message}`, { origin: error.code })
  }
  if (error.code === 'UNSUPPORTED' || error.code === 'MODEL') return cannotRun(error.message, error.code)
  return new ApiError(500, `pulling ${text} failed (${error.code})`, { origin: error.code })
}
