// Requests through a proxy, as HTTPS_PROXY, ALL_PROXY and NO_PROXY ask for it, in the same way in every runtime: the fetch of Deno and Bun reads these
// variables differently, and Node's, as a rule, not at all. Owns the reading of the variables and the tunnel; does not follow redirects.

import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import tls from 'node:tls'
import { MixtralError } from '../errors.js'
import { isLoopback } from './modelName.js'

type Environment = Readonly<Record<string, string | undefined>>

export interface Outgoing {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** A GET whose answer may be a redirect, through a proxy if the environment asks for one. Rejects as fetch does. */
export async function send(url: URL, outgoing: Outgoing): Promise<Response> {
  const proxy = proxyFor(url)
  if (proxy) return sendThrough(proxy, url, outgoing)
  // Where fetch may know of a proxy, it might take it for what is not to go there.
  const tempted = ['https_proxy', 'http_proxy', 'all_proxy'].some((name) => variable(name, process.env))
  return tempted
    ? answer(requestTo(url, { path: url.pathname + url.search, ...outgoing }))
    : fetch(url, { ...outgoing, redirect: 'manual' })
}

/** The proxy for an address; undefined for none, and for this machine, the only one without TLS. Throws `IO` for a variable that is no address. */
export function proxyFor({ protocol, host: hostAndPort, hostname, port }: URL, env: Environment = process.env): URL | undefined {
  const proxy = variable('https_proxy', env) || variable('all_proxy', env)
  if (!proxy || protocol !== 'https:' || isLoopback(hostAndPort)) return undefined
  const host = hostname.toLowerCase()
  for (const entry of (variable('no_proxy', env) ?? '').toLowerCase().split(/[\s,]+/)) {
    const [, name, only] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry)!
    if (entry === '*') return undefined
    if (!name || (only !== undefined && only !== (port || '443'))) continue
    if (host === name || host.endsWith(`.${name}`)) return undefined
  }
  const text = proxy.includes('://') ? proxy : `http://${proxy}`
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return new URL(text)
  const shown = JSON.stringify(proxy.replace(/[^/]*@/, '')) // without the password
  throw new MixtralError('IO', `the proxy in the environment is ${shown}, expected an address such as http://proxy:3128`)
}

function variable(name: string, env: Environment): string | undefined {
  return env[name] || env[name.toUpperCase()]
}

async function sendThrough(proxy: URL, url: URL, { headers, signal }: Outgoing): Promise<Response> {
  const { username, password } = proxy
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  const authorization: Record<string, string> = username ? { 'proxy-authorization': `Basic ${login}` } : {}
  const target = `${url.hostname}:${url.port || 443}`
  const tunnel = await connect(requestTo(proxy, { method: 'CONNECT', path: target, headers: { ...authorization, host: target }, signal }))
  const socket = tls.connect({ socket: tunnel, servername: url.hostname, ALPNProtocols: ['http/1.1'] })
  // Without an agent, which would open a connection of its own, the header would name port 80.
  return answer(https.request(url, { headers: { ...headers, host: url.host }, signal, createConnection: () => socket }))
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
