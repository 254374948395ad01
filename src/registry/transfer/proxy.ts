// Requests through a proxy, as HTTPS_PROXY, ALL_PROXY and NO_PROXY say, the same in every runtime: the fetch of Deno
// and Bun reads these variables differently, and that of Node usually not at all. Owns the reading of the variables;
// follows no redirects.

import { MixtralError, quoted } from '../../base/errors.js'
import { isLoopback } from '../names/modelName.js'
import type { Outgoing } from './tunnel.js'

type Environment = Readonly<Record<string, string | undefined>>

/** A GET whose answer may be a redirect, through a proxy if the environment asks for one. Rejects as fetch does. */
export async function send(url: URL, outgoing: Outgoing): Promise<Response> {
  const proxy = proxyFor(url)
  // If a proxy variable is set, fetch might use the proxy even for hosts in NO_PROXY: bypass fetch.
  const anyVariable = ['https_proxy', 'http_proxy', 'all_proxy'].some((name) => variable(name, process.env))
  if (!proxy && !anyVariable) return fetch(url, { ...outgoing, redirect: 'manual' })
  const { sendDirectly, sendThrough } = await import('./tunnel.js') // loads node:http, which is slow
  return proxy ? sendThrough(proxy, url, outgoing) : sendDirectly(url, outgoing)
}

/**
 * The proxy for an address; undefined for a direct request, as to this machine, the only host without TLS. Throws `IO`
 * for a variable that is no address.
 */
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
  const shown = quoted(proxy.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1')) // without the password, which may hold anything
  throw new MixtralError('IO', `the proxy in the environment is ${shown}, expected an address such as http://proxy:3128`)
}

function variable(name: string, env: Environment): string | undefined {
  return env[name] || env[name.toUpperCase()]
}
