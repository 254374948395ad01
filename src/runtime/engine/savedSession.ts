// The file of a saved session: what it belongs to, its tokens, and the full pages of its keys and values. Owns the
// layout:
//
//     byte 0    'mixtral-wasm session 1\n'
//     then      uint32  length of the manifest, and the manifest, JSON in UTF-8
//     then      uint32  (tokens)
//     then      pages, as kvBytes.ts has them
//     the last  32 bytes, the SHA-256 of all before
//
// All numbers are little-endian. Knows nothing of models.

import { createHash } from 'node:crypto'
import { MixtralError, shown } from '../../base/errors.js'
import { FileSource } from '../../base/files/byteSource.js'
import { DraftFile } from '../../base/files/draftFile.js'
import { limits } from '../../base/limits.js'

/** What a saved session belongs to: it can be restored where all of it is the same. */
export interface SessionBinding {
  /** The fingerprint of the model's files (weights/fingerprint.ts). */
  readonly model: string
  /** Counts changes of the bits that this project computes. */
  readonly numerics: number
  readonly kvFormat: string
  /** Positions of a page. */
  readonly page: number
  /** Bytes of a page. */
  readonly pageBytes: number
  readonly layers: number
  readonly kvHeads: number
  readonly headDim: number
  readonly ropeDim: number
  readonly ropeTheta: number
  /** 0 without a sliding window. */
  readonly slidingWindow: number
  /** The fingerprint of the adapters and how much of each counts; undefined without any. */
  readonly adapters?: string
}

interface Manifest extends SessionBinding {
  readonly tokens: number
  /** Full pages in the file. */
  readonly pages: number
  /** The application's own. */
  readonly metadata: unknown
}

const MAGIC = new TextEncoder().encode('mixtral-wasm session 1\n')
const HEAD = MAGIC.length + 4
const HASH_BYTES = 32
const LONGEST_MANIFEST = limits.sessionManifest.most

export interface SavedSession {
  readonly ids: readonly number[]
  readonly metadata: unknown
  readonly pages: number
}

/** The error of a file that is damaged or belongs to another model. */
export const sessionError = (path: string, problem: string) => new MixtralError('SESSION', `${path}: ${problem}`)

/** Writes a session; pages are asked for one at a time. Throws `IO`, and `OPTION` for metadata that is no JSON. */
export async function writeSession(
  path: string,
  binding: SessionBinding,
  { ids, metadata, pages }: SavedSession,
  page: (index: number) => Uint8Array,
): Promise<void> {
  const manifest = manifestBytes({ ...binding, tokens: ids.length, pages, metadata })
  const head = Buffer.alloc(4)
  head.writeUInt32LE(manifest.length)
  const start = Buffer.concat([MAGIC, head, manifest, Buffer.from(Uint32Array.from(ids).buffer)])
  const draft = await DraftFile.create(path, start.length + pages * binding.pageBytes + HASH_BYTES)
  const hash = createHash('sha256')
  let at = 0
  const write = async (bytes: Uint8Array) => {
    await draft.write(bytes, at)
    at += bytes.length
  }
  try {
    for (let i = -1; i < pages; i++) {
      const bytes = i < 0 ? start : page(i)
      hash.update(bytes)
      await write(bytes)
    }
    await write(hash.digest())
    await draft.seal()
    await draft.publish()
  } finally {
    await draft.discard()
  }
}

function manifestBytes(manifest: Manifest): Buffer {
  let text: string
  try {
    text = JSON.stringify(manifest)
  } catch (cause) {
    throw new MixtralError('OPTION', `metadata cannot be written as JSON: ${(cause as Error).message}`, { cause })
  }
  const bytes = Buffer.from(text)
  if (bytes.length <= LONGEST_MANIFEST) return bytes
  throw new MixtralError('OPTION', `metadata takes ${bytes.length} bytes as JSON, expected at most ${LONGEST_MANIFEST}`)
}

/**
 * Reads a session that was saved with the same binding. `check` may refuse its number of tokens before they are read:
 * a file with holes has any size at no cost. `use` gets the tokens, and the pages one after the other; what
 * it made of them counts only if nothing is thrown: a wrong byte anywhere is found at the end. Throws `SESSION`, naming
 * what differs, and `IO`.
 */
export async function readSession(
  path: string,
  binding: SessionBinding,
  check: (tokens: number) => void,
  use: (session: SavedSession, page: () => Promise<Uint8Array>) => Promise<void>,
): Promise<SavedSession> {
  const source = await FileSource.open(path)
  try {
    const hash = createHash('sha256')
    let at = 0
    const read = async (length: number) => {
      if (at + length > source.bytes) throw sessionError(path, `it ends at byte ${source.bytes}, expected at least ${at + length}`)
      const bytes = await source.read(at, length)
      at += length
      return bytes
    }
    const hashed = async (length: number) => {
      const bytes = await read(length)
      hash.update(bytes)
      return bytes
    }
    const head = Buffer.from(await hashed(Math.min(HEAD, source.bytes)))
    if (head.length < HEAD || !head.subarray(0, MAGIC.length).equals(MAGIC)) throw sessionError(path, 'not a saved session')
    const length = head.readUInt32LE(MAGIC.length)
    if (length > LONGEST_MANIFEST) throw sessionError(path, `a manifest of ${length} bytes, expected at most ${LONGEST_MANIFEST}`)
    const { tokens, pages, metadata } = checkManifest(path, await hashed(length), binding)
    const expected = at + 4 * tokens + pages * binding.pageBytes + HASH_BYTES
    if (source.bytes !== expected) throw sessionError(path, `${source.bytes} bytes, expected ${expected}: it was cut or changed`)
    check(tokens)
    const ids = [...new Uint32Array((await hashed(4 * tokens)).buffer)]
    const session = { ids, metadata, pages }
    await use(session, () => hashed(binding.pageBytes))
    if (!hash.digest().equals(await read(HASH_BYTES))) throw sessionError(path, 'its SHA-256 is another than it says: it was changed')
    return session
  } finally {
    await source.close()
  }
}

/** What differs: a fingerprint would tell nobody. */
function adaptersDiffer(found: string | undefined, expected: unknown): string {
  if (found === undefined) return 'it was saved without adapters, expected those that the model has'
  if (expected === undefined) return 'it was saved with adapters, expected none, as the model has none'
  return 'it was saved with other adapters or other scales of loading, expected the files, their order and the scales that the model has'
}

function checkManifest(path: string, bytes: Uint8Array, binding: SessionBinding): Manifest {
  let manifest: Partial<Record<keyof Manifest, unknown>>
  try {
    manifest = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw sessionError(path, `its manifest is damaged: ${(cause as Error).message}`)
  }
  for (const [name, expected] of Object.entries({ adapters: undefined, ...binding })) {
    const found = manifest?.[name as keyof Manifest]
    if (found === expected) continue
    if (name === 'adapters' && (found === undefined || typeof found === 'string')) throw sessionError(path, adaptersDiffer(found, expected))
    throw sessionError(path, `${name} is ${shown(found)}, expected ${shown(expected)}: it belongs to another model or version`)
  }
  for (const name of ['tokens', 'pages'] as const) {
    const found = manifest[name]
    if (!Number.isSafeInteger(found) || (found as number) < 0) throw sessionError(path, `${name} is ${shown(found)}, expected a count`)
  }
  const { tokens, pages } = manifest as Manifest
  if (pages * binding.page > tokens)
    throw sessionError(path, `${pages} pages of ${binding.page} tokens, expected no more than its ${tokens} tokens`)
  return manifest as Manifest
}
