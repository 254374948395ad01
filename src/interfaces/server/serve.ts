// An app on a socket of Node: listening, limits of connections, and an end in good order.

import type { Server } from 'node:http'
import { checkNames, MixtralError, shown } from '../../base/errors.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { createApp } from './app.js'
import type { ModelCatalog } from './models/modelCatalog.js'
import { isLoopback } from './security/hosts.js'
import type { ServerOptions } from './settings.js'

export interface ServeOptions extends ServerOptions {
  /** Default 8080; 0 takes one that is free. */
  readonly port?: number
  /** The address to listen on. Default 127.0.0.1, which nobody else can reach. */
  readonly host?: string
}

export interface RunningServer {
  readonly url: string
  readonly port: number
  /** Takes no more requests, lets those that run end within `graceSeconds`, and closes. Never throws. */
  close(): Promise<void>
}

/** Most connections at one time. Each is some kilobytes, and a request that waits is one of the queue. */
const MOST_CONNECTIONS = 1024

/**
 * Serves a model, or the models of a catalog: OpenAI's API, llama-server's and Ollama's, see docs/serving.md. They stay
 * the caller's: close them after the server. Throws `OPTION`, and `IO` if the address cannot be listened on.
 */
export async function serve(models: MixtralModel | ModelCatalog, options: ServeOptions = {}): Promise<RunningServer> {
  if (typeof options !== 'object' || options === null) checkNames(options, [])
  const { port = 8080, host = '127.0.0.1', ...others } = options
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new MixtralError('OPTION', `port is ${shown(port)}, expected a whole number from 0 to 65535`)
  }
  if (typeof host !== 'string' || host === '') throw new MixtralError('OPTION', `host is ${shown(host)}, expected an address`)
  const app = createApp(models, { allowPull: isLoopback(host), ...others })
  const { createAdaptorServer } = await import('@hono/node-server')
  const server = createAdaptorServer({
    fetch: (request, env) => app.fetch(request, env),
    overrideGlobalObjects: false,
    // a slow header or body ends here; proxies keep connections longer than Node's 5 seconds
    serverOptions: { headersTimeout: 60_000, requestTimeout: 300_000, keepAliveTimeout: 65_000 },
  }) as Server
  server.maxConnections = MOST_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error) => reject(new MixtralError('IO', `cannot listen on ${host}:${port}: ${cause.message}`, { cause }))
    server.once('error', fail)
    server.listen(port, host, () => {
      server.off('error', fail)
      resolve()
    })
  })
  const address = server.address()
  const bound = typeof address === 'object' && address ? address.port : port
  const shownHost = host.includes(':') ? `[${host}]` : host
  let closing: Promise<void> | undefined
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    await app.close()
    const idle = setInterval(() => server.closeIdleConnections(), 20) // those whose last answer goes out now
    const timer = setTimeout(() => server.closeAllConnections(), 1000) // those that do not read it
    await closed
    clearInterval(idle)
    clearTimeout(timer)
  }
  return {
    url: `http://${shownHost}:${bound}`,
    port: bound,
    close() {
      closing ??= close()
      return closing
    },
  }
}
