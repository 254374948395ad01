// Shards: sets of files that together are one model, `NAME-00001-of-00003.gguf` and so on, as llama.cpp's gguf-split
// writes them. Owns their names, what must hold between their headers, and how the plan of one file is cut into theirs.
// Opens and writes no file.

import path from 'node:path'
import { MixtralError, quoted, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { type GgufEntry, type GgufPlan, tensorBytes } from './encodeHeader.js'
import { type Gguf, type GgufTensor, ggufError } from './gguf.js'
import type { GgufHeader } from './readHeader.js'

const MOST_SHARDS = limits.shards.most

/**
 * The files of the set that a path belongs to, in order, whichever of them it names; only the path if its name is not a
 * shard's. Throws `GGUF` if the name has a number outside its set, or a set that is larger than any.
 */
export function shardPaths(file: string): string[] {
  const set = shardSet(file)
  return set ? Array.from({ length: set.count }, (_, n) => shardPath(set.whole, n, set.count)) : [file]
}

/** The first of the files that `shardPaths` gives, from the name alone. Throws what that throws. */
export function firstShardPath(file: string): string {
  const set = shardSet(file)
  return set ? shardPath(set.whole, 0, set.count) : file
}

/** The set that a path belongs to: what it would be as a single file, and how many files it has. */
function shardSet(file: string): { readonly whole: string; readonly count: number } | undefined {
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s.exec(path.basename(file))
  if (!match) return undefined
  const [number, count] = [Number(match[2]), Number(match[3])]
  if (number < 1 || number > count) throw ggufError(file, `shard number ${number}, expected 1 to ${count}`, 'file name')
  if (count > MOST_SHARDS) throw ggufError(file, `a set of ${count} shards, expected at most ${MOST_SHARDS}`, 'file name')
  return { whole: path.join(path.dirname(file), `${match[1]}.gguf`), count }
}

/**
 * The whole of which a file's name says that it is a part, cut anywhere to fit a limit: `a.gguf-split-a`,
 * `a.gguf.part1of2`, `a.gguf.00`. Such parts are no shards: they have to be joined byte by byte.
 */
export function joinedName(file: string): string | undefined {
  return /^(.*\.gguf)(?:[-_.](?:split|part)[-_.]?(?:[a-z]{1,2}|\d+(?:of\d+)?)|\.\d{1,5}|\.[a-z]{2})$/is.exec(file)?.[1]
}

/** The name of shard `n`, counted from 0, of a model that would be `file` if it were a single file. */
export function shardPath(file: string, n: number, count: number): string {
  const digits = (number: number) => String(number).padStart(5, '0')
  return `${file.replace(/\.gguf$/, '')}-${digits(n + 1)}-of-${digits(count)}.gguf`
}

/**
 * Joins the headers of a set's files, in order; the first has the metadata. Throws `GGUF` if they do not belong
 * together.
 */
export function joinShards(headers: readonly GgufHeader[]): Gguf {
  const first = headers[0]!
  // gguf-split leaves a count of 0 in the file into which it merges a set, and the other keys as they were.
  const isMerged = headers.length === 1 && first.metadata.get('split.count') === 0
  if (!isMerged && (headers.length > 1 || first.metadata.has('split.count'))) checkSplitKeys(headers)
  const tensors = new Map<string, GgufTensor>()
  for (const [file, header] of headers.entries()) {
    for (const [name, tensor] of header.tensors) {
      const twin = tensors.get(name)
      if (twin)
        throw ggufError(header.path, `also in ${headers[twin.file]!.path}, expected in one file of the set`, `tensor ${quoted(name)}`)
      tensors.set(name, { ...tensor, file })
    }
  }
  const total = first.metadata.get('split.tensors.count')
  if (!isMerged && total !== undefined && tensors.size !== total) {
    throw ggufError(
      first.path,
      `says ${shown(total)}, but the set of ${headers.length} has ${tensors.size} tensors`,
      'key "split.tensors.count"',
    )
  }
  const { version, metadata, metadataTypes, rawTexts } = first
  return { version, metadata, metadataTypes, rawTexts, tensors, files: headers.map(({ path, bytes }) => ({ path, bytes })) }
}

function checkSplitKeys(headers: readonly GgufHeader[]): void {
  for (const [n, header] of headers.entries()) {
    const expected = {
      'split.count': headers.length,
      'split.no': n,
      'split.tensors.count': headers[0]!.metadata.get('split.tensors.count'),
    }
    for (const [key, value] of Object.entries(expected)) {
      const found = header.metadata.get(key)
      if (found !== undefined && found === value) continue
      const hint = headers.length === 1 ? '; shards are found by their names, NAME-00001-of-00003.gguf and so on' : ''
      throw ggufError(
        header.path,
        `${shown(found)}, expected ${value === undefined ? 'a number' : shown(value)} in this file of the set${hint}`,
        `key "${key}"`,
      )
    }
  }
}

/** The keys that number the shards; a single file must not have them. */
const splitKeys = ['split.no', 'split.count', 'split.tensors.count'] as const

/**
 * Cuts a plan, as gguf-split does: tensors in order, with at most `shardBytes` bytes of them in a file, a larger tensor
 * in a file of its own; all metadata in the first file. Throws `OPTION` if the files are too many.
 */
export function shardPlans({ version, metadata, tensors }: GgufPlan, shardBytes: number): GgufPlan[] {
  const groups: GgufPlan['tensors'][number][][] = [[]]
  let bytes = 0
  for (const tensor of tensors) {
    const size = tensorBytes(tensor)
    if (bytes + size > shardBytes && groups.at(-1)!.length > 0) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)!.push(tensor)
    bytes += size
  }
  if (groups.length > MOST_SHARDS) {
    throw new MixtralError('OPTION', `${groups.length} shards of ${shardBytes} bytes, expected at most ${MOST_SHARDS}`)
  }
  const others = metadata.filter(([key]) => !(splitKeys as readonly string[]).includes(key))
  const alignment = others.filter(([key]) => key === 'general.alignment') // each header is read without the others
  return groups.map((group, n) => {
    const split: GgufEntry[] = [
      ['split.no', 'uint16', n],
      ['split.count', 'uint16', groups.length],
      ['split.tensors.count', 'int32', tensors.length],
    ]
    return { ...(version && { version }), metadata: [...(n === 0 ? others : alignment), ...split], tensors: group }
  })
}
