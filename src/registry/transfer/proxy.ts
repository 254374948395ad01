// Requests through a proxy, as HTTPS_PROXY, ALL_PROXY and NO_PROXY ask for it, in the same way in every runtime: the fetch of Deno and Bun reads these
// variables differently, and Node's, as a rule, not at all. Owns the reading of the variables; does not follow redirects.

import { MixtralError } from '../../base/errors.js'
import { isLoopback } from '../names/modelName.js'
import type { Outgoing } from './tunnel.js'

type Environment = Readonly<Record<string, string | undefined>>

/** A GET whose answer may be a redirect, through a proxy if the environment asks for one. Rejects as fetch does. */
export async function send(url: URL, outgoing: Outgoing): Promise<Response> {
  const proxy = proxyFor(url)
  // Where fetch may know of a proxy, it might take it for what is not to go there.
  const tempted = ['https_proxy', 'http_proxy', 'all_proxy'].some((name) => variable(name, process.env))
  if (!proxy && !tempted) return fetch(url, { ...outgoing, redirect: 'manual' })
  const { sendDirectly, sendThrough } = await import('./tunnel.js') // Node's http takes longer to load than this whole library
  return proxy ? sendThrough(proxy, url, outgoing) : sendDirectly(url, outgoing)
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
