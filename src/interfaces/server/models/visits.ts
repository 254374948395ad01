// From a request to its model: finds it by the name in the body, waits for its load with a place in the queue, keeps it
// in memory until the answer has ended. Knows what kinds of answers the APIs have, so that a request that waits gets
// headers and signs of life of the right kind.

import type { Admission } from '../admission.js'
import { ApiError, badRequest, type ErrorShape, toApiError } from '../apiError.js'
import { keepAliveSeconds } from '../ollama/keepAlive.js'
import { nothingToDo, pingLine } from '../ollama/wire.js'
import type { Exchange } from '../requestLog.js'
import type { ServedModel } from '../servedModel.js'
import { type LateForm, lateAnswer } from '../streams/lateAnswer.js'
import type { Answering } from '../streams/respond.js'
import { within } from '../streams/turn.js'
import type { ModelHost } from './modelHost.js'
import type { Lease } from './residents.js'

type Body = Record<string, unknown>

/** What a route does with a request, once there is a model. */
export type ModelWork = (body: Body, served: ServedModel, answering: Answering) => Promise<object> | object

/** A route that needs a model. */
export interface ModelRoute {
  readonly path: string
  readonly work: ModelWork
  /** Throws an ApiError for what is wrong with a request, whatever its model is: a load is not worth its time then. */
  readonly check: (body: Body) => unknown
}

/** Routes whose requests may ask for no text, to load a model or to unload it. */
const LOADING: Readonly<Record<string, 'chat' | 'generate'>> = { '/api/chat': 'chat', '/api/generate': 'generate' }

export class Visits {
  readonly #host: ModelHost
  readonly #shapeOf: (path: string) => ErrorShape
  readonly #waiting = new Set<Exchange>()

  constructor(host: ModelHost, shapeOf: (path: string) => ErrorShape) {
    this.#host = host
    this.#shapeOf = shapeOf
  }

  /** Throws an ApiError for a name without a model and a load that fails, and what `work` throws. */
  async answer({ path, work, check }: ModelRoute, body: Body, answering: Answering): Promise<object> {
    const asked = nameIn(path, body)
    const keep = keepAliveIn(path, body)
    const kind = LOADING[path]
    if (asked !== undefined && kind !== undefined && keep === 0 && asksForNothing(body)) {
      const fate = await this.#host.unload(asked)
      if (!fate) throw unknownModel(path, asked)
      return nothingToDo(kind, asked, fate === 'unloads' ? 'unload' : 'load')
    }
    const { admission, exchange, settings } = answering
    const lease = this.#host.take(asked, { keepAliveSeconds: keep, contextLength: contextIn(path, body) })
    if (lease) return visit(body, work, answering, lease)
    check(body)
    const leave = await this.#place(path, asked, admission)
    const coming = this.#whenLoaded(path, body, work, answering, leave)
    const soon = await within(coming, settings.pingSeconds)
    return soon ?? lateAnswer(coming, this.#formOf(path, body, exchange.id), exchange, settings)
  }

  /** Those who wait for a load are told that the server ends, so that the load ends, too. */
  close(): void {
    for (const exchange of this.#waiting) exchange.leave('failed')
  }

  /** A place in the queue, in the order of coming. A name that nobody knows is told as such where there is none. */
  async #place(path: string, asked: string | undefined, admission: Answering['admission']): Promise<() => void> {
    try {
      return admission.enter()
    } catch (error) {
      if (!admission.closing && asked !== undefined && !(await this.#host.has(asked))) throw unknownModel(path, asked)
      throw error
    }
  }

  async #whenLoaded(path: string, body: Body, work: ModelWork, answering: Answering, leave: () => void): Promise<object> {
    const { exchange, admission } = answering
    const { signal } = exchange
    const asked = nameIn(path, body)
    this.#waiting.add(exchange)
    const asking = performance.now()
    let lease: Lease<ServedModel> | undefined
    try {
      lease = await this.#host.borrow(asked, { signal, keepAliveSeconds: keepAliveIn(path, body), contextLength: contextIn(path, body) })
      if (!lease) throw unknownModel(path, asked ?? '')
    } catch (error) {
      leave()
      if (exchange.endedBy) throw exchange.endedBy
      throw exchange.signal.aborted && admission.closing ? new ApiError(503, 'the server is shutting down') : toApiError(error)
    } finally {
      this.#waiting.delete(exchange)
    }
    const loadSeconds = (performance.now() - asking) / 1000
    return visit(body, work, { ...answering, loadSeconds }, lease, leave)
  }

  #formOf(path: string, body: Body, id: string): LateForm {
    const ofPath = this.#shapeOf(path)
    const shape = (error: ApiError) => ofPath(error, id)
    const kind = LOADING[path]
    const body200 = (error: ApiError) => JSON.stringify(shape(error))
    if (kind && body.stream !== false && !asksForNothing(body)) {
      const ping = () => pingLine(kind, String(body.model))
      return { contentType: 'application/x-ndjson', ping, error: (error) => `${body200(error)}\n` }
    }
    if (path.startsWith('/api/') || body.stream !== true) return { contentType: 'application/json', ping: () => ' ', error: body200 }
    const event = (error: ApiError) => {
      const { type } = shape(error) as { readonly type?: string } // where events have names, so have errors
      return `${type === undefined ? '' : `event: ${type}\n`}data: ${body200(error)}\n\n`
    }
    return { contentType: 'text/event-stream', ping: () => ':\n\n', error: event }
  }
}

/**
 * Does the work, and keeps the model until it is done, however long its answer takes. The work has a place in the queue
 * from its beginning, since what a prompt is takes time, too; its first answer takes the place over.
 * @param leave ends the place in the queue, where the request has one already
 */
async function visit(body: Body, work: ModelWork, answering: Answering, lease: Lease<ServedModel>, leave?: () => void): Promise<object> {
  const { admission, width: most } = answering
  let holds = 1
  const drop = () => {
    if (--holds === 0) lease.release()
  }
  let place: (() => void) | undefined
  const held: Pick<Admission, 'enter' | 'closing'> = {
    enter() {
      const leave = place ?? admission.enter()
      place = undefined
      holds++
      let over = false
      return () => {
        if (over) return
        over = true
        leave()
        drop()
      }
    },
    get closing() {
      return admission.closing
    },
  }
  try {
    place = leave ?? admission.enter()
    const width = Math.min(most, lease.value.model.status().sequences)
    return await work(body, lease.value, { ...answering, admission: held, width })
  } finally {
    place?.()
    drop()
  }
}

/** Throws an ApiError 400 where a name is missing that must be there, and for one that is no text. */
function nameIn(path: string, { model }: Body): string | undefined {
  if (typeof model === 'string' && model !== '') return model
  if (path.startsWith('/api/')) throw badRequest('model is required', 'model')
  if (model === undefined || model === null || model === '') return undefined
  throw badRequest('model: expected a string', 'model')
}

/** Throws an ApiError 400. Only Ollama's API knows the field. */
function keepAliveIn(path: string, { keep_alive: keep }: Body): number | undefined {
  if (!path.startsWith('/api/') || keep === undefined || keep === null) return undefined
  if (typeof keep === 'string' || typeof keep === 'number') return keepAliveSeconds(keep)
  throw badRequest('keep_alive: expected seconds or a duration such as 10m', 'keep_alive')
}

/** The context that a request of Ollama's API asks for. */
function contextIn(path: string, { options }: Body): number | undefined {
  if (!path.startsWith('/api/') || typeof options !== 'object' || options === null) return undefined
  const { num_ctx: context } = options as Body
  return typeof context === 'number' && context >= 1 ? Math.floor(context) : undefined
}

function asksForNothing({ prompt, messages }: Body): boolean {
  return !prompt && !(Array.isArray(messages) && messages.length > 0)
}

export function unknownModel(path: string, asked: string): ApiError {
  const name = asked.slice(0, 100)
  if (path.startsWith('/api/')) return new ApiError(404, `model '${name}' not found`)
  return new ApiError(404, `the model ${JSON.stringify(name)} does not exist here`, { param: 'model', code: 'model_not_found' })
}
