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
    return saltOf(this.ownerOf(headers), cacheSalt)
  }

  /** What tells the callers of a key from others, and not the key: a digest in hex. Empty where no key is needed. */
  ownerOf(headers: Headers): string {
    const key = this.#digests.length > 0 ? this.#keyOf(headers) : undefined
    return key === undefined ? '' : digest(this.#digests[key]!.toString('hex')).toString('hex')
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

/** The salt of an owner's part of the KV cache. */
export function saltOf(owner: string, cacheSalt: string | undefined): string | undefined {
  if (owner === '' && cacheSalt === undefined) return undefined
  return `${owner} ${cacheSalt === undefined ? '' : digest(cacheSalt).toString('base64')}` // of bounded length
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
