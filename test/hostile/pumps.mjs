// Valid inputs blown up to any size, in ways that a few numbers choose: a part is repeated, numbered, lengthened or
// nested. The search for worst cases changes the numbers. Knows no measure.

import { encodeHeader } from '../../dist/format/gguf/encodeHeader.js'
import { Random } from './random.mjs'

const utf8 = new TextEncoder()

/**
 * Repeats pieces of a text; digits in them count up, so that names differ. `ways` are seeds, each for a share of the
 * bytes.
 */
export function pumpText(text, ways, bytes) {
  let pumped = text
  for (const way of ways) {
    const random = new Random(way)
    const share = Math.floor(bytes / ways.length)
    const at = random.below(text.length)
    const length = 1 + random.size(Math.min(120, text.length - at))
    const piece = text.slice(at, at + length)
    const counts = random.chance(0.5)
    const place = random.chance(0.5) ? at : random.below(pumped.length)
    const parts = []
    for (let size = 0, n = 0; size < share; n++) {
      const part = counts ? piece.replaceAll(/\d+/g, () => String(n)) : piece
      parts.push(part)
      size += part.length
    }
    pumped = pumped.slice(0, place) + parts.join('') + pumped.slice(place)
  }
  return utf8.encode(pumped)
}

/** Repeats, lengthens or nests parts of a JSON value. */
export function pumpJson(value, ways, bytes) {
  const pumped = structuredClone(value)
  for (const way of ways) pumpPart(pumped, new Random(way), Math.floor(bytes / ways.length))
  return utf8.encode(JSON.stringify(pumped))
}

function pumpPart(root, random, bytes) {
  const parents = []
  const collect = (value) => {
    if (typeof value !== 'object' || value === null || parents.length > 500) return
    if (Object.keys(value).length > 0) parents.push(value)
    for (const child of Object.values(value).slice(0, 50)) collect(child)
  }
  collect(root)
  const parent = random.pick(parents)
  const key = random.pick(Object.keys(parent))
  const child = parent[key]
  const size = Math.max(2, JSON.stringify(child).length) + 1
  const isText = typeof child === 'string'
  switch (random.below(4)) {
    case 0:
      if (isText)
        parent[key] = random.chance(0.5) ? child.repeat(bytes / Math.max(1, child.length)) : random.pick('x\u2581"é 0')[0].repeat(bytes)
      else parent[key] = nested(child, Math.min(bytes / 2, random.size(100_000)), random)
      break
    case 1:
      if (Array.isArray(parent)) for (let n = 0; n < bytes / size; n++) parent.push(child)
      else for (let n = 0; n < bytes / (size + 12); n++) parent[`${key}${n}`] = child
      break
    default: {
      const prefix = random.chance(0.3) ? 'x'.repeat(random.size(2000)) : random.pick(['', key, '\u2581', 'm-0000', '<|', 'a'])
      const width = size + 2 * prefix.length + 12
      for (let n = 0; n < bytes / width; n++) {
        if (Array.isArray(parent)) parent.push(numbered(child, n, prefix))
        else parent[`${prefix}${n}`] = numbered(child, n, prefix)
      }
    }
  }
}

function nested(value, depth, random) {
  const inArrays = random.chance(0.5)
  let outer = value
  for (let n = 0; n < Math.min(depth, 5000); n++) outer = inArrays ? [outer] : { x: outer }
  return outer
}

/** A copy in which texts and numbers are another one's. */
function numbered(value, n, prefix) {
  if (typeof value === 'string') return /\d/.test(value) ? value.replace(/\d+/, String(n)) : `${prefix}${value}${n}`
  if (typeof value === 'number') return Number.isInteger(value) ? value + n : value
  if (Array.isArray(value)) return value.map((item) => numbered(item, n, prefix))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, numbered(item, n, prefix)]))
}

/** More keys, longer arrays, more tensors in a header. */
export function pumpHeader(plan, ways, bytes) {
  const metadata = plan.metadata.map((entry) => [...entry])
  const tensors = [...plan.tensors]
  for (const way of ways) {
    const random = new Random(way)
    const share = Math.floor(bytes / ways.length)
    const length = 1 + random.size(random.chance(0.5) ? 4 : 300)
    const text = (n) => random.pick(['a', '\u2581', 'é', '<|', '😀']).repeat(length).slice(0, length) + n
    switch (random.below(4)) {
      case 0:
        for (let n = 0; n < share / (40 + length); n++) metadata.push([`x.${n}`, 'string', text(n)])
        break
      case 1: {
        const type = random.pick(['int8', 'uint64', 'float32', 'string', 'bool', 'array<int8>'])
        const of = {
          int8: [1, 1],
          uint64: [8, 2n ** 60n],
          float32: [4, 0.5],
          string: [8 + length, undefined],
          bool: [1, true],
          'array<int8>': [12, []],
        }
        const [size, value] = of[type]
        const array = Array.from({ length: Math.floor(share / size) }, (_, n) => value ?? text(n))
        metadata.push([`list.${way}`, `array<${type}>`, array])
        break
      }
      case 2:
        for (let n = 0; n < share / (60 + length); n++) tensors.push({ ...tensors[0], name: `t${n}${text(n)}`, shape: [32] })
        break
      default:
        growVocabulary(metadata, random, share)
    }
  }
  return encodeHeader({ ...plan, metadata, tensors }).bytes
}

/** The same as a file, with zeros for all data. */
export function pumpFile(plan, ways, bytes) {
  const header = pumpHeader(plan, ways, bytes / 4) // as much again are the data of tensors
  return Buffer.concat([header, new Uint8Array(Math.min(4 * bytes, 128 * Math.ceil(header.length / 60)))])
}

/** A SentencePiece model of more pieces, before the rest of one. */
export function pumpPieces(rest, ways, bytes) {
  const parts = []
  for (const way of ways) {
    const random = new Random(way)
    const longest = 1 + random.size(250)
    const alphabet = 'abcdefgh\u2581'.slice(0, 1 + random.below(9))
    const type = random.pick([1, 1, 1, 3, 4, 6])
    const share = bytes / ways.length
    for (let size = 0, n = 0; size < share; n++) {
      const text = random.chance(0.5) ? alphabet[0].repeat(1 + (n % longest)) + (random.chance(0.5) ? n : '') : `${alphabet}${n}`
      const piece = utf8.encode(text)
      const head = Buffer.from([0x0a, ...varint(piece.length)])
      const score = Buffer.alloc(5, 0x15)
      score.writeFloatLE(random.chance(0.5) ? -n : n, 1)
      const inner = Buffer.concat([head, piece, score, Uint8Array.of(0x18, type)])
      parts.push(Uint8Array.of(0x0a, ...varint(inner.length)), inner)
      size += inner.length + 3
    }
  }
  return Buffer.concat([...parts, rest])
}

const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)])

/** More tokens, of some characters and lengths, in the order of some scores. */
function growVocabulary(metadata, random, bytes) {
  const value = (name) => metadata.find(([key]) => key === `tokenizer.ggml.${name}`)
  const alphabet = 'abcdefghijklmnop\u2581é😀'.slice(0, 1 + random.below(17))
  const longest = 1 + random.size(255)
  const type = random.pick([1, 1, 1, 3, 4])
  const rising = random.chance(0.5)
  const pieces = new Set(value('tokens')[2])
  const before = pieces.size
  for (let size = 0, n = 0; size < bytes && n < bytes; n++) {
    let piece = ''
    const length = random.chance(0.5) ? longest : 1 + random.below(longest)
    while (piece.length < length) piece += random.pick(alphabet)
    pieces.add(random.chance(0.2) ? piece : alphabet[0].repeat(1 + (n % 255)))
    pieces.add(piece)
    size += piece.length + 16
  }
  const all = [...pieces]
  value('tokens')[2] = all
  value('scores')[2] = all.map((_, id) => (id < before ? 0 : rising ? id : -id))
  value('token_type')[2] = [...value('token_type')[2], ...Array(all.length).fill(type)].slice(0, all.length)
  const count = metadata.find(([key]) => key === 'llama.vocab_size')
  if (count) count[2] = all.length
}
