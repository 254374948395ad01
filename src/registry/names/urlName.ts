// Addresses as names: the file, and how an address is shown and kept. A query may be a signature, which is a secret, so
// it is neither: 16 digits of its hash stand for it, `?hidden=0123456789abcdef`, by which the model is found again.
// Pure.

import { createHash } from 'node:crypto'

/** The file name at the end of an address's path. */
export function urlFile(url: URL): string {
  return decoded(url.pathname.slice(url.pathname.lastIndexOf('/') + 1)).replaceAll('/', '\\')
}

/** Names the folder that an address's file and its shards are in: a hash of all but the file. */
export function addressHash(url: URL): string {
  const [, hidden] = HIDDEN.exec(url.search) ?? []
  if (hidden !== undefined) return hidden
  const base = url.href.slice(0, url.href.lastIndexOf('/', url.href.length - url.search.length)) + url.search
  return createHash('sha256').update(base).digest('hex').slice(0, 16)
}

/** An address without the words of its query, for messages, lists and records. */
export function shownAddress(address: string): string {
  const url = new URL(address)
  return url.search ? `${url.origin}${url.pathname}?hidden=${addressHash(url)}` : address
}

/** Whether an address is one that was shown, of which the query is not known. */
export function isHidden(url: URL): boolean {
  return HIDDEN.test(url.search)
}

/** A path with its escapes resolved, or as it is if they are malformed. */
export function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

const HIDDEN = /^\?hidden=([0-9a-f]{16})$/
