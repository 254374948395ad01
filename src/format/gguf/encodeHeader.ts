// Encodes a GGUF header from metadata and a list of tensors, and places each tensor's data. The counterpart of
// readHeader.ts; writes nothing to disk.

import { alignUp } from '../../base/alignUp.js'
import { quoted, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { bytesIn, type GgmlType } from './ggmlType.js'
import { type GgufTensor, type GgufValue, ggufError } from './gguf.js'
import { isAlignment } from './placeTensors.js'
import { type GgufScalarType, type GgufValueType, scalarOf, valueTypeId } from './valueType.js'

/**
 * A metadata key, how its value is stored, and the value: `['llama.block_count', 'uint32', 32]`; and the bytes of texts
 * in it that are not valid UTF-8, by their place among its texts.
 */
export type GgufEntry = readonly [key: string, type: GgufValueType, value: GgufValue, rawTexts?: ReadonlyMap<number, Uint8Array>]

/** The contents of a file to be written. `general.alignment` among the metadata sets the alignment, 32 if absent. */
export interface GgufPlan {
  /** Default: 3. */
  readonly version?: 2 | 3
  readonly metadata: readonly GgufEntry[]
  /** Tensors in the order of their data; shapes innermost dimension first. */
  readonly tensors: readonly PlannedTensor[]
}

export interface PlannedTensor {
  readonly name: string
  readonly type: GgmlType
  readonly shape: readonly number[]
}

/** Bytes of the tensor's data. */
export function tensorBytes({ type, shape }: PlannedTensor): number {
  const weights = shape.reduce((product, size) => product * size, 1)
  return bytesIn(type, weights)
}

export interface EncodedHeader {
  /** The header, padded up to the first tensor's data. */
  readonly bytes: Uint8Array
  /** The plan's tensors with their places. */
  readonly tensors: readonly GgufTensor[]
  /** Bytes of the whole file, the padding of the last tensor included. */
  readonly fileBytes: number
}

/** Encodes a header; throws `GGUF` if a value is not of its type or a row is not a whole number of blocks. */
export function encodeHeader(plan: GgufPlan): EncodedHeader {
  const alignment = plan.metadata.find(([key]) => key === 'general.alignment')?.[2] ?? 32
  const out = new HeaderBytes()
  if (!isAlignment(alignment))
    return out.fail(`an alignment of ${shown(alignment)}, expected a power of two from 8 to ${limits.alignment.most}`)
  out.raw(new TextEncoder().encode('GGUF'))
  out.scalar('uint32', plan.version ?? 3)
  out.scalar('uint64', plan.tensors.length)
  out.scalar('uint64', plan.metadata.length)
  for (const [key, type, value, rawTexts] of plan.metadata) {
    out.where = `key ${quoted(key)}`
    out.string(key)
    out.scalar('uint32', valueTypeId(type))
    out.rawTexts = rawTexts
    out.texts = 0
    out.value(type, value)
  }

  const placed: (PlannedTensor & { relativeOffset: number; bytes: number })[] = []
  let dataBytes = 0
  for (const tensor of plan.tensors) {
    const { name, type, shape } = tensor
    out.where = `tensor ${quoted(name)}`
    if (shape.length < 1 || shape[0]! % type.blockWeights !== 0) {
      out.fail(`shape [${shape}], expected rows of whole blocks of ${type.blockWeights}`)
    }
    out.string(name)
    out.scalar('uint32', shape.length)
    for (const size of shape) out.scalar('uint64', size)
    out.scalar('uint32', type.id)
    out.scalar('uint64', dataBytes)
    const bytes = tensorBytes(tensor)
    placed.push({ name, type, shape, relativeOffset: dataBytes, bytes })
    dataBytes = alignUp(dataBytes + bytes, alignment)
  }
  const dataStart = alignUp(out.length, alignment)
  out.raw(new Uint8Array(dataStart - out.length))
  const tensors = placed.map(({ relativeOffset, ...tensor }) => ({ ...tensor, file: 0, offset: dataStart + relativeOffset }))
  return { bytes: out.bytes(), tensors, fileBytes: dataStart + dataBytes }
}

/** A growing buffer of little-endian values. */
class HeaderBytes {
  /** The item being written, for messages. */
  where = 'header'
  length = 0
  /** Of the value being written: the number of its texts so far, and those that are written as bytes. */
  texts = 0
  rawTexts: ReadonlyMap<number, Uint8Array> | undefined
  #buffer = new Uint8Array(64 * 1024)
  #view = new DataView(this.#buffer.buffer)

  fail(problem: string): never {
    throw ggufError('GGUF to be written', problem, this.where)
  }

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.length)
  }

  raw(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length)
    this.#buffer.set(bytes, at)
  }

  scalar(type: GgufScalarType, value: number | bigint): void {
    const { bytes, write, read } = scalarOf(type)!
    const at = this.#grow(bytes)
    const misfit = () => this.fail(`${value}, expected an integer that fits ${type}`)
    const isInteger = type !== 'float32' && type !== 'float64'
    if (isInteger && typeof value === 'number' && !Number.isSafeInteger(value)) misfit()
    write(this.#view, at, value)
    if (isInteger && BigInt(read(this.#view, at)) !== BigInt(value)) misfit()
    // An infinity is stored as one; a finite value must not become one.
    if (type === 'float32' && Number.isFinite(Number(value)) && !Number.isFinite(read(this.#view, at))) {
      this.fail(`${value}, expected a number that fits float32`)
    }
  }

  string(text: string): void {
    this.bytesOfText(new TextEncoder().encode(text))
  }

  bytesOfText(bytes: Uint8Array): void {
    this.scalar('uint64', bytes.length)
    this.raw(bytes)
  }

  value(type: GgufValueType, value: GgufValue): void {
    const element = /^array<(.*)>$/.exec(type)?.[1] as GgufValueType | undefined
    if (element && Array.isArray(value)) {
      this.scalar('uint32', valueTypeId(element))
      this.scalar('uint64', value.length)
      for (const item of value) this.value(element, item)
    } else if (type === 'string' && typeof value === 'string') {
      const raw = this.rawTexts?.get(this.texts++)
      if (raw) this.bytesOfText(raw)
      else this.string(value)
    } else if (type === 'bool' && typeof value === 'boolean') {
      this.scalar(type, Number(value))
    } else if (type !== 'bool' && scalarOf(type) && (typeof value === 'number' || typeof value === 'bigint')) {
      this.scalar(type as GgufScalarType, value)
    } else {
      this.fail(`a ${typeof value}, expected ${type}`)
    }
  }

  /** Extends the length by `bytes` and returns their offset. */
  #grow(bytes: number): number {
    const at = this.length
    this.length += bytes
    if (this.length > this.#buffer.length) {
      const larger = new Uint8Array(2 * this.length)
      larger.set(this.#buffer)
      this.#buffer = larger
      this.#view = new DataView(larger.buffer)
    }
    return at
  }
}
