// The routes of a server, and what happens on the way to every one of them: an id, hosts and origins, keys, errors in
// the shape of the route's API, a line in the log. What a route answers is in its API's folder.

import { type Context, Hono } from 'hono'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { Admission } from './admission.js'
import { ApiError, type ErrorShape, errorResponse, llamaError, ollamaError, openaiError, toApiError } from './apiError.js'
import { props, slots } from './llama/props.js'
import { detokenize, tokenize } from './llama/tokens.js'
import { Metrics } from './metrics/metrics.js'
import { ollamaChat, ollamaGenerate } from './ollama/chat.js'
import { OllamaModels } from './ollama/models.js'
import { chatCompletion, chatPrompt } from './openai/chat.js'
import { completion } from './openai/completions.js'
import { modelList, modelObject } from './openai/models.js'
import { PromptScores } from './openai/promptScores.js'
import { checkModel } from './openai/wire.js'
import { packageVersion } from './packageVersion.js'
import { front } from './page.js'
import { Exchange } from './requestLog.js'
import { readBody } from './security/body.js'
import { isAllowedOrigin, isOwnHost } from './security/hosts.js'
import { Keys } from './security/keys.js'
import { servedModel } from './servedModel.js'
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

/** What @hono/node-server gives beside a request. */
interface NodeBindings {
  readonly incoming?: { readonly httpVersionMajor?: number }
  readonly outgoing?: { destroy?: () => void }
}

type Env = { Variables: { exchange: Exchange } }
type Work = (body: Record<string, unknown>, answering: Answering) => Promise<object> | object

/** Throws `OPTION`. The model stays the caller's: close it after the app. */
export function createApp(model: MixtralModel, options: ServerOptions = {}): ServerApp {
  const settings = checkServerOptions(options)
  const served = servedModel(model, settings)
  const { sequences } = model.status()
  const admission = new Admission(sequences + settings.maxQueue)
  const metrics = new Metrics()
  const keys = new Keys(settings.apiKeys)
  const scores = new PromptScores(model)
  const ollama = new OllamaModels(served)
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
    // a link to the page may stand anywhere
    const foreignPage =
      c.req.header('sec-fetch-site') === 'cross-site' && !(c.req.path === '/' && c.req.header('sec-fetch-dest') === 'document')
    if (origin === undefined && foreignPage) throw new ApiError(403, 'this origin is not allowed')
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
  app.get('/', (c) => front(c.req.raw))

  app.use(async (c, next) => {
    if (keys.admits(c.req.raw.headers)) return next()
    throw new ApiError(401, 'Invalid API Key', { code: 'invalid_api_key' })
  })

  const get = (paths: readonly string[], answer: (c: Context<Env>) => object | Promise<object>) => {
    for (const path of paths) app.get(path, async (c) => c.json(await answer(c)))
  }
  const post = (paths: readonly string[], work: Work) => {
    for (const path of paths) {
      app.post(path, async (c) => {
        const exchange = c.get('exchange')
        const body = await readBody(c.req.raw, settings.bodyBytes)
        const result = await work(body, { exchange, admission, metrics, settings, width: sequences })
        return result instanceof Response ? result : c.json(result)
      })
    }
  }

  get(['/v1/models', '/models'], () => modelList(served))
  get(['/v1/models/:id{.+}'], (c) => {
    checkModel(c.req.param('id'), served)
    return modelObject(served)
  })
  post(['/v1/chat/completions', '/chat/completions'], (body, answering) => chatCompletion(body, served, answering))
  post(['/v1/completions'], (body, answering) => completion(body, served, scores, answering))
  post(['/tokenize'], (body) => tokenize(body, model))
  post(['/detokenize'], (body) => detokenize(body, model))
  get(['/props'], () => props(served))
  get(['/slots'], () => slots(served))
  post(['/apply-template'], (body) => ({ prompt: chatPrompt(body, served) }))
  app.get('/metrics', (c) => {
    c.header('content-type', 'text/plain; version=0.0.4')
    return c.body(metrics.text(model.status(), admission.inside))
  })
  get(['/api/version'], () => ({ version: packageVersion() }))
  get(['/api/tags'], () => ollama.tags())
  get(['/api/ps'], () => ollama.running())
  post(['/api/show'], (body) => ollama.show(body))
  post(['/api/chat'], (body, answering) => ollamaChat(body, served, answering))
  post(['/api/generate'], (body, answering) => ollamaGenerate(body, served, answering))
  for (const path of MISSING) {
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
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, settings.graceSeconds * 1000)
      })
      await Promise.race([admission.empty(), late])
      clearTimeout(timer)
      for (const exchange of open) exchange.leave('failed')
    },
  }
}

/** Which API a path belongs to. */
function shapeOf(path: string): ErrorShape {
  if (path.startsWith('/api/')) return ollamaError
  return path.startsWith('/v1/') || path.startsWith('/chat/') ? openaiError : llamaError
}
