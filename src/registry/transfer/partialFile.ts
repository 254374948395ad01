// A file that is being downloaded: its bytes in FILE.partial, in any order; in FILE.partial.log its identity, the spans
// that are written, and in the end the hash of the whole. Owns the order that makes a kill harmless at any moment:
// first the bytes, then the log's line about them, the file's own name last. Knows nothing of networks.

import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { fileBytes, filesUnder, readText } from '../../base/files/optionalFiles.js'
import { createFile, makeFolder, reopenFile } from '../../base/files/ownFiles.js'
import { limits } from '../../base/limits.js'
import { type Span, Spans } from './spans.js'

const LARGEST_LOG = limits.partialLog.most
/** A span for each connection of each attempt that was stopped: of hundreds. */
const MOST_SPANS = limits.partialSpans.most

/** What is being downloaded. */
export interface PartialKind {
  /** Bytes of the complete file. */
  readonly bytes: number
  /** The hash or version of its content; empty if nobody tells one, so that nothing can be resumed. */
  readonly identity: string
  /** The name of the model that it belongs to. */
  readonly model: string
}

export class PartialFile {
  /** Path of the complete file. */
  readonly path: string
  readonly bytes: number
  /** Bytes that earlier attempts had written. */
  readonly resumed: number
  /** The SHA-256 of the whole, if an earlier attempt has ended with it. */
  readonly sha256: string | undefined
  readonly #data: fs.FileHandle
  readonly #log: fs.FileHandle
  readonly #spans: Spans

  private constructor(file: string, bytes: number, spans: Spans, sha256: string | undefined, data: fs.FileHandle, log: fs.FileHandle) {
    this.path = file
    this.bytes = bytes
    this.resumed = spans.bytes
    this.sha256 = spans.prefix === bytes ? sha256 : undefined
    this.#spans = spans
    this.#data = data
    this.#log = log
  }

  /**
   * Opens the partial file, or creates it. One of another identity or size is deleted, and one that is a link.
   * Close it. Throws `IO` if the folder cannot be written to.
   */
  static async open(file: string, kind: PartialKind): Promise<PartialFile> {
    const { bytes } = kind
    const opened: fs.FileHandle[] = []
    const use = (handle: fs.FileHandle) => {
      opened.push(handle)
      return handle
    }
    try {
      await makeFolder(path.dirname(file))
      const text = (await readText(logOf(file), LARGEST_LOG)) ?? ''
      const before = parseKind(firstLine(text))
      // Scattered spans are no download's: each later write would have to look at all of them.
      const written = spansIn(text, (await fileBytes(partialOf(file))) ?? 0, bytes)
      const same = written.count <= MOST_SPANS && before?.bytes === bytes && before.identity === kind.identity && kind.identity !== ''
      const oldData = same ? await reopenFile(partialOf(file), 'r+') : undefined
      if (oldData) use(oldData)
      const oldLog = oldData && (await reopenFile(logOf(file), 'a'))
      if (oldLog) use(oldLog)
      const known = oldLog !== undefined
      if (!known) await oldData?.close()
      const data = known ? oldData! : use(await createFile(partialOf(file)))
      const log = known ? oldLog : use(await createFile(logOf(file)))
      if (!known) await log.write(`${JSON.stringify(kind)}\n`)
      else if (!text.endsWith('\n')) await log.write('\n')
      const spans = known ? written : new Spans()
      const [, sha256] = (known && /^sha256 ([0-9a-f]{64})$/m.exec(text)) || []
      return new PartialFile(file, bytes, spans, sha256, data, log)
    } catch (cause) {
      for (const handle of opened) await handle.close().catch(() => {})
      throw cause instanceof MixtralError ? cause : ioError('write', file, cause)
    }
  }

  /** Bytes that are written. */
  get loaded(): number {
    return this.#spans.bytes
  }

  /** Bytes that are written from the first on without a gap. */
  get prefix(): number {
    return this.#spans.prefix
  }

  /** The spans that are missing, cut to at most `most` bytes each. */
  gaps(most: number): Span[] {
    return this.#spans.gaps(0, this.bytes, most)
  }

  /** Writes those of these bytes that are missing. The others may have been hashed already and must not change. */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    for (const { start, end } of this.#spans.gaps(offset, offset + bytes.length)) {
      try {
        for (let at = start; at < end; ) at += (await this.#data.write(bytes, at - offset, end - at, at)).bytesWritten
        await this.#log.write(`${start} ${end - start}\n`)
      } catch (cause) {
        throw ioError('write', partialOf(this.path), cause)
      }
      this.#spans.add(start, end)
    }
  }

  /** Reads bytes of the prefix into `target`; returns how many. */
  async read(target: Uint8Array, offset: number): Promise<number> {
    try {
      return (await this.#data.read(target, 0, Math.min(target.length, this.prefix - offset), offset)).bytesRead
    } catch (cause) {
      throw ioError('read', partialOf(this.path), cause)
    }
  }

  /** Puts down that the file is complete, with its hash; `nameComplete` gives it its name, now or after a restart. */
  async complete(sha256: string): Promise<void> {
    try {
      await this.#data.sync()
      await this.#log.write(`sha256 ${sha256}\n`)
      await this.close()
    } catch (cause) {
      throw ioError('write', partialOf(this.path), cause)
    }
  }

  /** Deletes the partial file. */
  async discard(): Promise<void> {
    await this.close()
    await discardPartial(this.path)
  }

  async close(): Promise<void> {
    await this.#data.close().catch(() => {})
    await this.#log.close().catch(() => {})
  }
}

/** All partial files under a folder. */
export async function listPartials(
  folder: string,
): Promise<{ readonly file: string; readonly kind: PartialKind; readonly loaded: number }[]> {
  const found = []
  for (const name of await filesUnder(folder, 4 + limits.repositoryFolders.most)) {
    if (!name.endsWith(LOG)) continue
    const file = path.join(folder, name.slice(0, -LOG.length))
    const kind = parseKind(firstLine((await readText(logOf(file), LARGEST_LOG)) ?? ''))
    const stats = await fs.stat(partialOf(file)).catch(() => undefined)
    // The file is sparse: bytes that are missing take no blocks of the disk.
    if (kind && stats) found.push({ file, kind, loaded: Math.min(stats.blocks * 512, kind.bytes) })
  }
  return found
}

/** Of a log that was cut short in its first line: nothing. */
function firstLine(log: string): string | undefined {
  const end = log.indexOf('\n')
  return end < 0 ? undefined : log.slice(0, end)
}

/**
 * The spans that a log names, as far as they are in a partial file of `size` bytes. A kill may have cut the last line
 * short. A cut length counts too few bytes, a cut offset has no length: both are safe.
 */
function spansIn(log: string, size: number, bytes: number): Spans {
  const spans: Span[] = []
  for (const [, from, length] of log.matchAll(/^(\d{1,15}) (\d{1,15})$/gm)) {
    const [start, end] = [Number(from), Number(from) + Number(length)]
    if (end <= size && end <= bytes) spans.push({ start, end })
  }
  return new Spans(spans)
}

function parseKind(line: string | undefined): PartialKind | undefined {
  try {
    const kind = JSON.parse(line ?? '')
    const { bytes, identity, model } = kind ?? {}
    return Number.isSafeInteger(bytes) && typeof identity === 'string' && typeof model === 'string' ? { bytes, identity, model } : undefined
  } catch {
    return undefined // cut short by a kill
  }
}

/** Gives a complete partial file its own name. */
export async function nameComplete(file: string): Promise<void> {
  try {
    await fs.rename(partialOf(file), file)
    await fs.rm(logOf(file), { force: true })
  } catch (cause) {
    throw ioError('write', file, cause)
  }
}

/** Deletes the partial file of a file, and its log. */
export async function discardPartial(file: string): Promise<void> {
  for (const name of [partialOf(file), logOf(file)]) {
    await fs.rm(name, { force: true }).catch((cause: unknown) => {
      throw ioError('delete', name, cause)
    })
  }
}

/** Whether a file has a partial file or a log of one. */
export async function hasPartial(file: string): Promise<boolean> {
  return ((await fileBytes(partialOf(file))) ?? (await fileBytes(logOf(file)))) !== undefined
}

/** Path of the partial file of a file. */
export const partialOf = (file: string) => `${file}.partial`
const LOG = '.partial.log'
const logOf = (file: string) => file + LOG
