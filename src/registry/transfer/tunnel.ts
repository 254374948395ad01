// Requests with Node's own http: through a proxy, or past any. Apart from proxy.ts because node:http loads slowly and
// few requests need it. Knows no variables.

import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import tls from 'node:tls'
import { MixtralError } from '../../base/errors.js'

export interface Outgoing {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** A GET through a tunnel of `proxy`. Rejects as fetch does. */
export async function sendThrough(proxy: URL, url: URL, { headers, signal }: Outgoing): Promise<Response> {
  const { username, password } = proxy
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  const authorization: Record<string, string> = username ? { 'proxy-authorization': `Basic ${login}` } : {}
  const target = `${url.hostname}:${url.port || 443}`
  const tunnel = await connect(requestTo(proxy, { method: 'CONNECT', path: target, headers: { ...authorization, host: target }, signal }))
  const socket = tls.connect({ socket: tunnel, servername: url.hostname, ALPNProtocols: ['http/1.1'] })
  // Without an agent, which would open a connection of its own, the header would name port 80.
  return answer(https.request(url, { headers: { ...headers, host: url.host }, signal, createConnection: () => socket }), url.host)
}

/** A GET without a proxy, whatever the environment says. Rejects as fetch does. */
export function sendDirectly(url: URL, outgoing: Outgoing): Promise<Response> {
  return answer(requestTo(url, { path: url.pathname + url.search, ...outgoing }), url.host)
}

function requestTo({ protocol, hostname, port }: URL, options: http.RequestOptions): http.ClientRequest {
  const all = { ...options, hostname: hostname.replaceAll(/[[\]]/g, ''), port, agent: false as const }
  return protocol === 'https:' ? https.request(all) : http.request(all)
}

function connect(request: http.ClientRequest): Promise<Socket> {
  return new Promise((resolve, reject) => {
    request.on('error', reject)
    request.on('connect', (response, socket: Socket) => {
      if (response.statusCode === 200) return resolve(socket)
      socket.destroy()
      reject(new Error(`the proxy answered ${response.statusCode} ${response.statusMessage ?? ''}`.trim()))
    })
    request.end()
  })
}

function answer(request: http.ClientRequest, host: string): Promise<Response> {
  return new Promise((resolve, reject) => {
    request.on('error', reject)
    request.on('response', (message) => {
      // An error thrown in an event handler would end the process.
      try {
        resolve(responseOf(message, host))
      } catch (error) {
        message.destroy()
        reject(error)
      }
    })
    request.end()
  })
}

/** Throws `IO` for a status that a Response cannot have. */
function responseOf(message: http.IncomingMessage, host: string): Response {
  const status = message.statusCode!
  const statusText = (message.statusMessage ?? '').replaceAll(/[^\x20-\x7e]/g, '') // a Response refuses controls
  if (status < 200 || status > 599)
    throw new MixtralError('IO', `${host} answered ${status} ${statusText}, expected a status from 200 to 599`)
  const headers = new Headers()
  for (const [name, value] of Object.entries(message.headers)) headers.set(name, String(value))
  const body = [204, 205, 304].includes(status) ? null : (Readable.toWeb(message) as ReadableStream<Uint8Array>)
  return new Response(body, { status, statusText, headers })
}
