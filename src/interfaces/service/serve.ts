// A server as programs start it: an app with all its routes, and that on a socket of the runtime. Owns options, names,
// and an end in good order.

import { MixtralError, shown } from '../../base/errors.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { appWith, type ServerApp } from '../server/app.js'
import type { ModelCatalog } from '../server/models/modelCatalog.js'
import { isLoopback } from '../server/security/hosts.js'
import { checkServerOptions, type ServerOptions } from '../server/settings.js'
import type { Address, Answer, Listening } from '../server/sockets/listening.js'
import { type AddedFiles, addFileRoutes } from './fileRoutes.js'

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

/** Throws `OPTION`. The model, or the catalog of models, stays the caller's: close it after the app. */
export function createApp(models: MixtralModel | ModelCatalog, options: ServerOptions = {}): ServerApp {
  return wholeApp(models, options).app
}

function wholeApp(models: MixtralModel | ModelCatalog, options: ServerOptions): { readonly app: ServerApp; readonly files: AddedFiles } {
  let files: AddedFiles | undefined
  const app = appWith(models, options, (parts) => {
    files = addFileRoutes(parts)
    return files
  })
  return { app, files: files! }
}

/**
 * Serves a model, or the models of a catalog: OpenAI's API, llama-server's and Ollama's, see docs/serving.md. They stay
 * the caller's: close them after the server. Throws `OPTION`, and `IO` if the folder of files cannot be used, or the
 * address cannot be listened on.
 */
export async function serve(models: MixtralModel | ModelCatalog, options: ServeOptions = {}): Promise<RunningServer> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) checkServerOptions(options)
  const { port = 8080, host = '127.0.0.1', ...others } = options
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new MixtralError('OPTION', `port is ${shown(port)}, expected a whole number from 0 to 65535`)
  }
  if (typeof host !== 'string' || host === '') throw new MixtralError('OPTION', `host is ${shown(host)}, expected an address`)
  const { app, files } = wholeApp(models, { allowPull: isLoopback(host), ...others })
  await files.opened
  const { listen } = await socketsHere()
  const listening = await listen(app.fetch, { host, port }).catch(async (cause: Error) => {
    await files.close()
    throw new MixtralError('IO', `cannot listen on ${host}:${port}: ${cause.message}`, { cause })
  })
  const shownHost = host.includes(':') ? `[${host}]` : host
  let closing: Promise<void> | undefined
  return {
    url: `http://${shownHost}:${listening.port}`,
    port: listening.port,
    close() {
      closing ??= listening.close(app.close())
      return closing
    },
  }
}

/** The sockets of the runtime that runs this. */
async function socketsHere(): Promise<{ listen(answer: Answer, address: Address): Promise<Listening> }> {
  return 'Bun' in globalThis || 'Deno' in globalThis ? import('../server/sockets/native.js') : import('../server/sockets/node.js')
}
