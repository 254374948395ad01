// API keys: compared by digests of one length and in constant time, so that timing tells nothing of them. Owns what
// keeps the callers of different keys apart in the KV cache.

import { createHash, timingSafeEqual } from 'node:crypto'

export class Keys {
  readonly #digests: readonly Buffer[]

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digest)
  }

  /** Whether a request brings one of the keys, as `Authorization: Bearer` or `X-Api-Key`. True if none are needed. */
  admits(headers: Headers): boolean {
    return this.#digests.length === 0 || this.#keyOf(headers) !== undefined
  }

  /**
   * The salt of a request's part of the KV cache: callers of one key, who give the same `cache_salt` or none, share it.
   * Undefined where nothing keeps callers apart.
   */
  saltFor(headers: Headers, cacheSalt: string | undefined): string | undefined {
    const key = this.#digests.length > 0 ? this.#keyOf(headers) : undefined
    if (key === undefined && cacheSalt === undefined) return undefined
    return `${key ?? ''} ${cacheSalt === undefined ? '' : digest(cacheSalt).toString('base64')}` // of bounded length
  }

  /** The place of the key that a request brings. */
  #keyOf(headers: Headers): number | undefined {
    const [, bearer] = /^Bearer +(.*)$/i.exec(headers.get('authorization') ?? '') ?? []
    const given = [bearer, headers.get('x-api-key')].filter((one) => typeof one === 'string').map(digest)
    let found: number | undefined
    for (const one of given) {
      for (const [place, key] of this.#digests.entries()) if (timingSafeEqual(key, one)) found ??= place
    }
    return found
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
