// The routes of a server, and what happens on the way to every one of them: an id, hosts and origins, keys, errors in
// the shape of the route's API, a line in the log. What a route answers is in its API's folder.

import { type Context, Hono } from 'hono'
import { getPath } from 'hono/utils/url'
import { checkKind, MixtralError, shown } from '../../base/errors.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { Admission } from './admission.js'
import { checkCount, checkMessage, countTokens, createMessage } from './anthropic/messages.js'
import { ApiError, anthropicError, type ErrorShape, errorResponse, llamaError, ollamaError, openaiError, toApiError } from './apiError.js'
import { checkNative, nativeCompletion } from './llama/completion.js'
import { props, slots } from './llama/props.js'
import { checkTokenize, detokenize, tokenize, tokensIn } from './llama/tokens.js'
import { Metrics, modelMetrics } from './metrics/metrics.js'
import { hostOf, ModelCatalog } from './models/modelCatalog.js'
import { modelInMemory } from './models/modelHost.js'
import { anthropicModel, anthropicModels, modelList, modelObject, VERSION_HEADER } from './models/modelLists.js'
import { oneModel } from './models/oneModel.js'
import { Pulls } from './models/pulls.js'
import { type ModelRoute, type ModelWork, unknownModel, Visits } from './models/visits.js'
import type { Env, MoreRoutes, NodeBindings } from './moreRoutes.js'
import { checkOllamaChat, checkOllamaGenerate, ollamaChat, ollamaGenerate } from './ollama/chat.js'
import { checkEmbed, checkOldEmbed, ollamaEmbed, ollamaEmbeddings } from './ollama/embed.js'
import { OLLAMA_VERSION, runningModels, showModel, taggedModels } from './ollama/models.js'
import { copyModels, deleteModel, pullModels, type StoreWork } from './ollama/store.js'
import { loraAdapters, refuseScales } from './openai/adapters.js'
import { chatCompletion, chatPrompt, checkChat, checkPrompt } from './openai/chat.js'
import { checkCompletion, completion } from './openai/completions.js'
import { checkEmbeddings, embeddings } from './openai/embeddings.js'
import { scoresOf } from './openai/promptScores.js'
import { routedStats } from './openai/routedExperts.js'
import { openApiDocument } from './openapi/document.js'
import { shownPath, UNSUPPORTED } from './openapi/operations.js'
import { packageVersion } from './packageVersion.js'
import { front } from './page.js'
import { Exchange, guarded } from './requestLog.js'
import { checkResponse, createResponse } from './responses/responses.js'
import { commonAsked } from './security/asked.js'
import { readBody } from './security/body.js'
import { isAllowedOrigin, isOwnHost } from './security/hosts.js'
import { Keys } from './security/keys.js'
import { checkTextLength } from './security/textLength.js'
import { checkServerOptions, type ServerOptions } from './settings.js'
import { Connections } from './sockets/connections.js'
import type { Answering } from './streams/respond.js'
import { resumingOf } from './streams/resuming.js'
import { ownTurn } from './streams/turn.js'
import { loadTracing, type RequestSpan } from './tracing/tracing.js'

/** A server without a socket: give it the requests that your own server has, or mount it in another application. */
export interface ServerApp {
  /** Answers a request. Throws `OPTION` for what is no Request, else nothing. */
  fetch(request: Request, env?: unknown): Promise<Response>
  /** Takes no more requests, waits for those that run as long as `graceSeconds`, and ends the others. Never throws. */
  close(): Promise<void>
}

/** Routes whose streams go on where a client has lost them. */
const RESUMABLE = new Set(['/v1/chat/completions', '/chat/completions', '/v1/completions', '/v1/responses', '/v1/messages'])

/** Routes that change the store: a server of one model has none. */
const STORE = ['/api/pull', '/api/copy', '/api/delete']

/** What tells that the server lives: never behind the work of other requests. */
const HEALTH = ['/health', '/v1/health', '/ping']

type Work = (body: Record<string, unknown>, answering: Answering) => Promise<object> | object

/** Throws `OPTION`. */
export function appWith(models: MixtralModel | ModelCatalog, options: ServerOptions, more: MoreRoutes): ServerApp {
  const settings = checkServerOptions(options)
  checkModels(models)
  const catalog = models instanceof ModelCatalog ? hostOf(models) : undefined
  const host = catalog ?? oneModel(models as MixtralModel, settings)
  const visits = new Visits(host, shapeOf)
  const pulls = new Pulls()
  const { sequences } = host
  const admission = new Admission(sequences + settings.maxQueue)
  const metrics = new Metrics()
  const keys = new Keys(settings.apiKeys)
  const open = new Set<Exchange>()
  const { bodyBytes, bodySeconds, timeoutSeconds = Infinity } = settings
  const bodyLimits = { bodyBytes, bodySeconds: Math.min(bodySeconds, timeoutSeconds) }
  const tracing = loadTracing()
  const log = guarded(settings.log)
  const connections = new Connections()
  const app = new Hono<Env>({ getPath: (request) => plainPath(getPath(request)) })

  app.use(async (c, next) => {
    const { incoming, outgoing } = (c.env ?? {}) as NodeBindings
    const socket = incoming?.httpVersion?.startsWith('1.') ? incoming.socket : undefined // others answer in any order
    let span: RequestSpan | undefined
    const exchange = new Exchange(
      c.req.raw,
      (entry) => {
        open.delete(exchange)
        metrics.request(entry.route, entry.status, entry.milliseconds / 1000)
        span?.end(entry)
        log(entry)
      },
      outgoing &&
        (() => {
          outgoing.destroy?.()
          socket?.destroy() // an answer that is behind another one has none
        }),
    )
    open.add(exchange)
    c.set('exchange', exchange)
    if (socket) await connections.enter(socket, exchange)
    if (!HEALTH.includes(c.req.path)) await ownTurn()
    span = (await tracing)?.begin(c.req.raw)
    c.set('span', span)
    if (c.req.path !== '/api/pull') exchange.limit(timeoutSeconds) // a download takes as long as it takes
    if (exchange.signal.aborted)
      c.res = errorResponse(exchange.endedBy ?? new ApiError(503, 'the client has left'), shapeOf(c.req.path), exchange.id)
    else await (span ? span.run(next) : next())
    exchange.note({
      status: exchange.signal.aborted && !exchange.endedBy && !exchange.streams ? 499 : c.res.status,
      route: shownPath(c.req.routePath),
    })
    if (!exchange.streams || socket?.destroyed) exchange.end()
    c.header('x-request-id', exchange.id)
    if (incoming?.httpVersion !== '1.1') c.res.headers.delete('transfer-encoding') // others have their own ways
  })

  app.use(async (c, next) => {
    const header = c.req.header('host')
    const { host } = new URL(c.req.url)
    const origin = c.req.header('origin')
    const foreign = [header ?? host, host].find((one) => !isOwnHost(one, settings.allowedHosts))
    if (foreign !== undefined) throw new ApiError(403, 'this host is not allowed: the server was started without --allow-host for it')
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
  for (const path of HEALTH) app.get(path, health)
  app.get('/', (c) => front(c.req.raw))

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
        const { headers } = c.req.raw
        const resuming = resumingOf(headers, RESUMABLE.has(path))
        const body = await readBody(c.req.raw, bodyLimits)
        c.get('span')?.asked(body)
        const asked = commonAsked(body, headers)
        if (asked.seconds !== undefined) exchange.limit(asked.seconds)
        const salt = keys.saltFor(headers, asked.cacheSalt)
        const more = { ...(salt !== undefined && { salt }), ...(resuming && { resuming }) }
        const result = await work(body, { exchange, admission, metrics, settings, width: sequences, ...more })
        return result instanceof Response ? result : c.json(result)
      })
    }
  }

  /** A route that needs a model: the one that the request names. */
  const ask = (paths: readonly string[], work: ModelWork, check: ModelRoute['check']) => {
    for (const path of paths) {
      const short: ModelWork = (given, served, answering) => {
        checkTextLength(path, given, served.model)
        return work(given, served, answering)
      }
      post([path], (body, answering) => visits.answer({ path, work: short, check }, body, answering))
    }
  }

  const isAnthropic = (c: Context<Env>) => c.req.header(VERSION_HEADER) !== undefined
  get(['/v1/models', '/models'], async (c) => (isAnthropic(c) ? anthropicModels : modelList)(await host.list()))
  get(['/v1/models/:id{.+}'], async (c) => {
    const asked = c.req.param('id')!
    const offered = await host.find(asked)
    if (!offered) throw unknownModel(c.req.path, asked)
    return (isAnthropic(c) ? anthropicModel : modelObject)(offered)
  })
  ask(['/v1/chat/completions', '/chat/completions'], chatCompletion, checkChat)
  ask(['/v1/completions'], (body, served, answering) => completion(body, served, scoresOf(served.model), answering), checkCompletion)
  get(['/v1/routed-experts/stats'], (c) => routedStats(modelInMemory(host, c.req.query('model'))))
  ask(['/v1/responses'], createResponse, checkResponse)
  ask(['/v1/messages'], createMessage, checkMessage)
  ask(['/v1/messages/count_tokens'], countTokens, checkCount)
  ask(['/v1/embeddings'], embeddings, checkEmbeddings)
  ask(['/completion', '/completions'], nativeCompletion, checkNative)
  ask(['/tokenize'], tokenize, checkTokenize)
  ask(['/detokenize'], (body, { model }, answering) => detokenize(body, model, answering), tokensIn)
  get(['/props'], (c) => props(host, c.req.query('model')))
  get(['/slots'], (c) => slots(host, c.req.query()))
  get(['/lora-adapters'], (c) => loraAdapters(host, c.req.query('model')))
  app.all('/lora-adapters', refuseScales)
  ask(['/apply-template'], async (body, served, answering) => ({ prompt: (await chatPrompt(body, served, answering)).text }), checkPrompt)
  app.get('/metrics', (c) => {
    c.header('content-type', 'text/plain; version=0.0.4')
    return c.body(metrics.text(host.status(), admission.inside) + (catalog ? modelMetrics(catalog) : ''))
  })
  get(['/version'], () => ({ version: packageVersion() }))
  get(['/load'], () => ({ server_load: admission.inside }))
  get(['/api/version'], () => ({ version: OLLAMA_VERSION }))
  get(['/api/tags'], () => taggedModels(host))
  get(['/api/ps'], () => runningModels(host))
  post(['/api/show'], (body) => showModel(body, host))
  ask(['/api/chat'], ollamaChat, checkOllamaChat)
  ask(['/api/generate'], ollamaGenerate, checkOllamaGenerate)
  ask(['/api/embed'], ollamaEmbed, checkEmbed)
  ask(['/api/embeddings'], ollamaEmbeddings, checkOldEmbed)
  if (catalog) {
    const store = (work: (body: Record<string, unknown>, store: StoreWork) => Promise<object>): Work => {
      return (body, { exchange }) => work(body, { catalog, pulls, exchange, settings })
    }
    post(['/api/pull'], store(pullModels))
    post(['/api/copy'], store(copyModels))
    post(['/api/delete'], store(deleteModel), 'delete')
  }
  const added = more({ app, host, keys, admission, settings, needsModel: catalog !== undefined })
  get(['/openapi.json'], () => openApiDocument(app.routes, added.operations, shapeOf, settings.apiKeys.length > 0))
  for (const path of catalog ? UNSUPPORTED : [...UNSUPPORTED, ...STORE]) {
    app.all(path, () => {
      throw new ApiError(501, `${shownPath(path)} is not supported`)
    })
  }

  const known = new Map<string, Set<string>>()
  for (const { path, method } of app.routes) known.set(path, (known.get(path) ?? new Set()).add(method))
  app.notFound((c) => {
    const methods = known.get(c.req.path)
    if (methods) throw new ApiError(405, `method ${c.req.method} is not allowed here`, { allow: [...methods].join(', ') })
    throw new ApiError(404, 'File Not Found')
  })
  app.onError((error, c) => {
    const exchange = c.get('exchange')
    const told = exchange.endedBy ?? toApiError(error)
    if (told.origin) exchange.note({ error: told.origin })
    return errorResponse(told, shapeOf(c.req.path), exchange.id)
  })

  return {
    async fetch(request, env) {
      if (typeof request?.url === 'string' && typeof request.headers?.get === 'function') return app.fetch(request, env as object)
      throw new MixtralError('OPTION', `the request is ${shown(request)}, expected a Request`)
    },
    async close() {
      admission.close()
      visits.close()
      const stopped = Promise.all([pulls.close(), added.stop()])
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, settings.graceSeconds * 1000)
      })
      await Promise.race([admission.empty(), late])
      clearTimeout(timer)
      for (const exchange of open) exchange.leave('failed')
      await stopped
      await added.close()
    },
  }
}

/** Clients whose base address ends in a slash write two, others end with one. */
function plainPath(path: string): string {
  return path.replace(/^\/{2,}/, '/').replace(/(?!^)\/$/, '')
}

function checkModels(models: unknown): void {
  if (models instanceof ModelCatalog) return
  const { tokenizer, status } = (models ?? {}) as Partial<MixtralModel>
  checkKind('the models', models, typeof status === 'function' && tokenizer !== undefined, 'a MixtralModel or a ModelCatalog')
}

/** Which API a path belongs to. */
function shapeOf(path: string): ErrorShape {
  if (path.startsWith('/api/')) return ollamaError
  if (path.startsWith('/v1/messages')) return anthropicError
  return path.startsWith('/v1/') || path.startsWith('/chat/') ? openaiError : llamaError
}
