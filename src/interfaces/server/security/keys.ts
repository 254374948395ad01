// API keys: compared by digests of one length and in constant time, so that timing tells nothing of them.

import { createHash, timingSafeEqual } from 'node:crypto'

export class Keys {
  readonly #digests: readonly Buffer[]

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digest)
  }

  /** Whether a request brings one of the keys, as `Authorization: Bearer` or `X-Api-Key`. True if none are needed. */
  admits(headers: Headers): boolean {
    if (this.#digests.length === 0) return true
    const [, bearer] = /^Bearer +(.*)$/i.exec(headers.get('authorization') ?? '') ?? []
    const given = digest(bearer ?? headers.get('x-api-key') ?? '')
    let found = false
    for (const key of this.#digests) found = timingSafeEqual(key, given) || found
    return found
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
