// By which names a server may be called, and which pages may call it. A page elsewhere can make a browser send requests
// here, by a name of its own that leads to this machine (DNS rebinding) or from its own origin; both are refused.

import { isIP } from 'node:net'

/**
 * Endings that nobody can register: no name below them leads here by anybody else's DNS. `.local` is of multicast DNS
 * (RFC 6762), `.internal` of private networks (ICANN, 2024), such as host.docker.internal; `.home.arpa` is RFC 8375.
 * Others that home routers use, such as `.lan`, are not reserved.
 */
const RESERVED = /\.(local|internal|home\.arpa)$/

/**
 * Whether a host, as in the header `Host`, is one of ours: localhost, an address in numbers, a name below a reserved
 * ending, or an allowed one. A name that somebody else may have never is.
 */
export function isOwnHost(host: string, allowed: readonly string[]): boolean {
  const name = nameOf(host)
  if (name === undefined) return false
  return isLocalName(name) || RESERVED.test(name) || isIP(name) !== 0 || allowed.some((one) => one === '*' || one.toLowerCase() === name)
}

/** Schemes of programs on this machine, as Ollama allows them. */
const LOCAL_SCHEMES = /^(app|file|tauri|vscode-webview|vscode-file):\/\//

/** Whether a page of this origin may call. `host` is the one that it calls. */
export function isAllowedOrigin(origin: string, host: string, allowed: readonly string[]): boolean {
  if (allowed.includes('*') || allowed.includes(origin)) return true
  if (LOCAL_SCHEMES.test(origin)) return true
  const [, at] = /^https?:\/\/([^/?#@\\]+)$/.exec(origin) ?? []
  if (at === undefined) return false // `null`, too
  if (at.toLowerCase() === host.toLowerCase()) return true
  const name = nameOf(at)
  return name !== undefined && (isLocalName(name) || isLoopback(name))
}

/** Whether an address is of this machine only. */
export function isLoopback(address: string): boolean {
  return address === '::1' || isLocalName(address) || (isIP(address) === 4 && address.startsWith('127.'))
}

function isLocalName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost')
}

/** The name in `name:port` or `[address]:port`, without a dot at the end. */
function nameOf(host: string): string | undefined {
  const [, address, name] = /^(?:\[([\da-fA-F:.]+)\]|([^:[\]/@\\\s]+))(?::\d{1,5})?$/.exec(host) ?? []
  return (address ?? name)?.toLowerCase().replace(/\.$/, '')
}
