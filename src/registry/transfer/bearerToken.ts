// The token of a Docker-style registry: a 401 names an address, which answers with the token. Owns one token for one
// registry; does not know what it gives access to.
// Protocol: https://distribution.github.io/distribution/spec/auth/token/

import { quoted } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { isLoopback } from '../names/modelName.js'
import { type Credentials, ExchangeError, exchange, type Limits, readBody } from './exchange.js'

const LARGEST_ANSWER = limits.token.most

export class BearerToken implements Credentials {
  readonly origin: string
  #token: string | undefined
  /** While a token is being fetched, so that four connections fetch one. */
  #renewing: Promise<boolean> | undefined

  constructor(origin: string) {
    this.origin = origin
  }

  header(): string | undefined {
    return this.#token && `Bearer ${this.#token}`
  }

  renew(response: Response, limits: Limits): Promise<boolean> {
    this.#renewing ??= this.#fetch(response.headers.get('www-authenticate') ?? '', limits).finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  async #fetch(challenge: string, limits: Limits): Promise<boolean> {
    if (!/^bearer /i.test(challenge)) return false
    const parameters = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key!.toLowerCase(), value!]))
    const address = this.#realm(parameters.get('realm'))
    for (const key of ['service', 'scope']) if (parameters.has(key)) address.searchParams.set(key, parameters.get(key)!)
    const answer = await exchange({ address: address.href, ...limits }, (_, chunks) =>
      readBody(chunks, LARGEST_ANSWER, `the token of ${address.host}`),
    )
    const { token, access_token: accessToken } = tokenOf(answer)
    const given = token ?? accessToken
    if (typeof given !== 'string' || !/^[\x21-\x7e]+$/.test(given))
      throw new ExchangeError(`${address.host} sent no token where it was asked for one`, {})
    this.#token = given
    return true
  }

  /** The address that gives tokens. Throws unless it is https, or http with the registry and it on this machine. */
  #realm(realm: string | undefined): URL {
    const from = new URL(this.origin)
    const url = realm !== undefined && URL.canParse(realm) ? new URL(realm) : undefined
    const local = url?.protocol === 'http:' && isLoopback(url.host) && isLoopback(from.host)
    if (url && (url.protocol === 'https:' || local)) return url
    throw new ExchangeError(`${from.host} sends for a token to ${quoted(realm ?? '')}, expected an https address`, {})
  }
}

function tokenOf(answer: string): { token?: unknown; access_token?: unknown } {
  try {
    return JSON.parse(answer) ?? {}
  } catch {
    return {}
  }
}
