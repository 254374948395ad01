// Requests through a proxy, as HTTPS_PROXY, HTTP_PROXY and NO_PROXY ask for it. Deno and Bun do this in their own fetch; Node's looks at these
// variables in its newest versions only, and only when told to. Owns the reading of the variables and the tunnel; does not follow redirects.

import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import tls from 'node:tls'
import { MixtralError } from '../errors.js'

type Environment = Readonly<Record<string, string | undefined>>

export interface Outgoing {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

const fetchKnowsProxies = process.versions.bun !== undefined || process.versions.deno !== undefined

/** A GET whose answer may be a redirect, through a proxy if the environment asks for one. Rejects as fetch does. */
export function send(url: URL, outgoing: Outgoing): Promise<Response> {
  const proxy = fetchKnowsProxies ? undefined : proxyFor(url)
  return proxy ? sendThrough(proxy, url, outgoing) : fetch(url, { ...outgoing, redirect: 'manual' })
}

/** The proxy for an address; undefined for none. Throws `IO` for a variable that is no address. */
export function proxyFor({ protocol, hostname, port }: URL, env: Environment = process.env): URL | undefined {
  const of = (name: string) => env[name] || env[name.toUpperCase()]
  const proxy = of(protocol === 'https:' ? 'https_proxy' : 'http_proxy') || of('all_proxy')
  if (!proxy) return undefined
  const host = hostname.toLowerCase()
  for (const entry of (of('no_proxy') ?? '').toLowerCase().split(/[\s,]+/)) {
    const [, name, only] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry)!
    if (entry === '*') return undefined
    if (!name || (only !== undefined && only !== (port || (protocol === 'https:' ? '443' : '80')))) continue
    if (host === name || host.endsWith(`.${name}`)) return undefined
  }
  const text = proxy.includes('://') ? proxy : `http://${proxy}`
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return new URL(text)
  throw new MixtralError('IO', `the proxy in the environment is ${JSON.stringify(proxy)}, expected an address such as http://proxy:3128`)
}

async function sendThrough(proxy: URL, url: URL, { headers, signal }: Outgoing): Promise<Response> {
  const { username, password } = proxy
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  const authorization: Record<string, string> = username ? { 'proxy-authorization': `Basic ${login}` } : {}
  if (url.protocol === 'http:') {
    const request = requestTo(proxy, { path: url.href, headers: { ...headers, ...authorization, host: url.host }, signal })
    return answer(request)
  }
  const target = `${url.hostname}:${url.port || 443}`
  const tunnel = await connect(requestTo(proxy, { method: 'CONNECT', path: target, headers: { ...authorization, host: target }, signal }))
  const socket = tls.connect({ socket: tunnel, servername: url.hostname, ALPNProtocols: ['http/1.1'] })
  // Without an agent, which would open a connection of its own, the header would name port 80.
  return answer(https.request(url, { headers: { ...headers, host: url.host }, signal, createConnection: () => socket }))
}

function requestTo(proxy: URL, options: http.RequestOptions): http.ClientRequest {
  const { hostname, port } = proxy
  const all = { ...options, hostname, port, agent: false as const }
  return proxy.protocol === 'https:' ? https.request(all) : http.request(all)
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

function answer(request: http.ClientRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    request.on('error', reject)
    request.on('response', (message) => {
      const status = message.statusCode!
      const headers = new Headers()
      for (const [name, value] of Object.entries(message.headers)) headers.set(name, String(value))
      const body = status === 204 || status === 304 ? null : (Readable.toWeb(message) as ReadableStream<Uint8Array>)
      resolve(new Response(body, { status, statusText: message.statusMessage ?? '', headers }))
    })
    request.end()
  })
}
