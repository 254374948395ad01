// The routes of a server, and what happens on the way to every one of them: an id, hosts and origins, keys, errors in
// the shape of the route's API, a line in the log. What a route answers is in its API's folder.

import { type Context, Hono } from 'hono'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { Admission } from './admission.js'
import { ApiError, type ErrorShape, errorResponse, llamaError, ollamaError, openaiError, toApiError } from './apiError.js'
import { props, slots } from './llama/props.js'
import { detokenize, tokenize } from './llama/tokens.js'
import { Metrics } from './metrics/metrics.js'
import { modelMetrics } from './metrics/modelMetrics.js'
import { hostOf, ModelCatalog } from './models/modelCatalog.js'
import { oneModel } from './models/oneModel.js'
import { Pulls } from './models/pulls.js'
import { type ModelWork, unknownModel, Visits } from './models/visits.js'
import { ollamaChat, ollamaGenerate } from './ollama/chat.js'
import { runningModels, showModel, taggedModels } from './ollama/models.js'
import { copyModels, deleteModel, pullModels, type StoreWork } from './ollama/store.js'
import { chatCompletion, chatPrompt } from './openai/chat.js'
import { completion } from './openai/completions.js'
import { modelList, modelObject } from './openai/models.js'
import { scoresOf } from './openai/promptScores.js'
import { packageVersion } from './packageVersion.js'
import { Exchange } from './requestLog.js'
import { readBody } from './security/body.js'
import { isAllowedOrigin, isOwnHost } from './security/hosts.js'
import { Keys } from './security/keys.js'
import { checkServerOptions, type ServerOptions } from './settings.js'
import type { Answering } from './streams/respond.js'

/** A server without a socket: give it the requests that your own server has, or mount it in another application. */
export interface ServerApp {
  /** Answers a request. Never throws. */
  fetch(request: Request, env?: unknown): Promise<Response>
  /** Takes no more requests, waits for those that run as long as `graceSeconds`, and ends the others. Never throws. */
  close(): Promise<void>
}

/** What clients know from elsewhere, and this server has not. */
const MISSING = [
  ...['/v1/embeddings', '/v1/responses', '/v1/messages', '/v1/rerank', '/infill', '/completion'],
  ...['/api/embed', '/api/embeddings', '/api/pull', '/api/push', '/api/create', '/api/copy', '/api/delete', '/api/blobs/:digest'],
]

/** Those of them that change the store: a server of one model has none. */
const STORE = ['/api/pull', '/api/copy', '/api/delete']

/** What @hono/node-server gives beside a request. */
interface NodeBindings {
  readonly incoming?: { readonly httpVersionMajor?: number }
  readonly outgoing?: { destroy?: () => void }
}

type Env = { Variables: { exchange: Exchange } }
type Work = (body: Record<string, unknown>, answering: Answering) => Promise<object> | object

/** Throws `OPTION`. The model, or the catalog of models, stays the caller's: close it after the app. */
export function createApp(models: MixtralModel | ModelCatalog, options: ServerOptions = {}): ServerApp {
  const settings = checkServerOptions(options)
  const catalog = models instanceof ModelCatalog ? hostOf(models) : undefined
  const host = catalog ?? oneModel(models as MixtralModel, settings)
  const visits = new Visits(host, shapeOf)
  const pulls = new Pulls()
  const { sequences } = host
  const admission = new Admission(sequences + settings.maxQueue)
  const metrics = new Metrics()
  const keys = new Keys(settings.apiKeys)
  const open = new Set<Exchange>()
  const app = new Hono<Env>()

  app.use(async (c, next) => {
    const { incoming, outgoing } = (c.env ?? {}) as NodeBindings
    const exchange = new Exchange(
      c.req.raw,
      (entry) => {
        open.delete(exchange)
        metrics.request(entry.route, entry.status, entry.milliseconds / 1000)
        settings.log(entry)
      },
      () => outgoing?.destroy?.(),
    )
    open.add(exchange)
    c.set('exchange', exchange)
    await next()
    exchange.note({ status: exchange.signal.aborted && !exchange.streams ? 499 : c.res.status, route: c.req.routePath })
    if (!exchange.streams) exchange.end()
    c.header('x-request-id', exchange.id)
    if (incoming?.httpVersionMajor !== 1) c.res.headers.delete('transfer-encoding') // others have their own ways
  })

  app.use(async (c, next) => {
    const header = c.req.header('host')
    const { host } = new URL(c.req.url)
    const origin = c.req.header('origin')
    const foreign = [header ?? host, host].find((one) => !isOwnHost(one, settings.allowedHosts))
    if (foreign !== undefined) throw new ApiError(403, 'this host is not allowed')
    if (origin === undefined && c.req.header('sec-fetch-site') === 'cross-site') throw new ApiError(403, 'this origin is not allowed')
    if (origin === undefined) return next()
    if (!isAllowedOrigin(origin, header ?? host, settings.allowedOrigins)) throw new ApiError(403, 'this origin is not allowed')
    if (c.req.method === 'OPTIONS') c.res = new Response(null, { status: 204 })
    else await next()
    c.header('access-control-allow-origin', origin)
    c.header('vary', 'Origin')
    c.header('access-control-expose-headers', 'x-request-id, retry-after')
    if (c.req.method !== 'OPTIONS') return
    c.header('access-control-allow-methods', 'GET, POST, DELETE, OPTIONS')
    c.header('access-control-allow-headers', c.req.header('access-control-request-headers') ?? 'authorization, content-type')
    c.header('access-control-max-age', '600')
  })

  const health = (c: Context<Env>) => {
    admission.checkOpen()
    return c.json({ status: 'ok' })
  }
  app.get('/health', health)
  app.get('/v1/health', health)
  app.get('/', (c) => c.text(`mixtral-wasm ${packageVersion()} is running`))

  app.use(async (c, next) => {
    if (keys.admits(c.req.raw.headers)) return next()
    throw new ApiError(401, 'Invalid API Key', { code: 'invalid_api_key' })
  })

  const get = (paths: readonly string[], answer: (c: Context<Env>) => object | Promise<object>) => {
    for (const path of paths) app.get(path, async (c) => c.json(await answer(c)))
  }
  const post = (paths: readonly string[], work: Work, method: 'post' | 'delete' = 'post') => {
    for (const path of paths) {
      app[method](path, async (c) => {
        const exchange = c.get('exchange')
        const body = await readBody(c.req.raw, settings.bodyBytes)
        const result = await work(body, { exchange, admission, metrics, settings, width: sequences })
        return result instanceof Response ? result : c.json(result)
      })
    }
  }

  /** A route that needs a model: the one that the request names. */
  const ask = (paths: readonly string[], work: ModelWork) => {
    for (const path of paths) post([path], (body, answering) => visits.answer(path, body, work, answering))
  }

  get(['/v1/models', '/models'], async () => modelList(await host.list()))
  get(['/v1/models/:id{.+}'], async (c) => {
    const asked = c.req.param('id')!
    const offered = await host.find(asked)
    if (!offered) throw unknownModel(c.req.path, asked)
    return modelObject(offered)
  })
  ask(['/v1/chat/completions', '/chat/completions'], chatCompletion)
  ask(['/v1/completions'], (body, served, answering) => completion(body, served, scoresOf(served.model), answering))
  ask(['/tokenize'], (body, { model }) => tokenize(body, model))
  ask(['/detokenize'], (body, { model }) => detokenize(body, model))
  get(['/props'], (c) => props(host, c.req.query('model')))
  get(['/slots'], (c) => slots(host, c.req.query('model')))
  ask(['/apply-template'], (body, served) => ({ prompt: chatPrompt(body, served) }))
  app.get('/metrics', (c) => {
    c.header('content-type', 'text/plain; version=0.0.4')
    return c.body(metrics.text(host.status(), admission.inside) + (catalog ? modelMetrics(catalog) : ''))
  })
  get(['/api/version'], () => ({ version: packageVersion() }))
  get(['/api/tags'], () => taggedModels(host))
  get(['/api/ps'], () => runningModels(host))
  post(['/api/show'], (body) => showModel(body, host))
  ask(['/api/chat'], ollamaChat)
  ask(['/api/generate'], ollamaGenerate)
  if (catalog) {
    const store = (work: (body: Record<string, unknown>, store: StoreWork) => Promise<object>): Work => {
      return (body, { exchange }) => work(body, { catalog, pulls, exchange, settings })
    }
    post(['/api/pull'], store(pullModels))
    post(['/api/copy'], store(copyModels))
    post(['/api/delete'], store(deleteModel), 'delete')
  }
  for (const path of MISSING.filter((one) => !catalog || !STORE.includes(one))) {
    app.all(path, (c) => {
      throw new ApiError(501, `${c.req.routePath} is not supported`)
    })
  }

  const known = new Map<string, Set<string>>()
  for (const { path, method } of app.routes) known.set(path, (known.get(path) ?? new Set()).add(method))
  app.notFound((c) => {
    if (known.has(c.req.path)) throw new ApiError(405, `method ${c.req.method} is not allowed here`)
    throw new ApiError(404, 'File Not Found')
  })
  app.onError((error, c) => {
    const told = toApiError(error)
    const exchange = c.get('exchange')
    if (told.origin) exchange.note({ error: told.origin })
    return errorResponse(told, shapeOf(c.req.path))
  })

  return {
    fetch: async (request, env) => app.fetch(request, env as object),
    async close() {
      admission.close()
      visits.close()
      const stopped = pulls.close()
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, settings.graceSeconds * 1000)
      })
      await Promise.race([admission.empty(), late])
      clearTimeout(timer)
      for (const exchange of open) exchange.leave('failed')
      await stopped
    },
  }
}

/** Which API a path belongs to. */
function shapeOf(path: string): ErrorShape {
  if (path.startsWith('/api/')) return ollamaError
  return path.startsWith('/v1/') || path.startsWith('/chat/') ? openaiError : llamaError
}
