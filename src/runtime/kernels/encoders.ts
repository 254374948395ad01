// The kernels that write weights, a module of their own: nothing that runs a model needs them, and they are the same in
// every engine. Mirrors the exports of the files in asconfig.encode.json.

import { alignUp } from '../../base/alignUp.js'
import { type FormatName, formats } from '../../format/quants/formats.js'
import { compileBuild } from './compile.js'

/**
 * `blocks` blocks of float32 at src to blocks of the format at dst; room: ENCODE_ROOM bytes. All addresses except src
 * are multiples of 16. Up to 8 bytes after the output may be read. importance: of each weight, as float32, or 0. table:
 * the format's `encodeTable`, or 0 if it has none.
 */
type Encode = (src: number, blocks: number, dst: number, room: number, importance: number, table: number) => void

/** Bytes that an encoder needs beside its input, its output and its table. */
export const ENCODE_ROOM = 4096

/** What an instance exports. All arguments are byte offsets into its memory or counts. */
export type Encoders = { readonly [K in Lowercase<FormatName> as `encode_${K}`]?: Encode } & {
  /** How many of `count` float32, a multiple of 4, are not numbers of at most `most` in magnitude. */
  readonly count_beyond: (src: number, count: number, most: number) => number
  /** `count` weights, a multiple of 4, to float32. */
  readonly decode_f16: (src: number, count: number, dst: number) => void
  readonly decode_bf16: (src: number, count: number, dst: number) => void
}

/** The kernel that writes the type, if there is one. Other types are written by their oracle in format/quants/. */
export function encoderOf(encoders: Encoders, type: string): Encode | undefined {
  return encoders[`encode_${type.toLowerCase() as Lowercase<FormatName>}`]
}

/** Bytes for the tables of all formats. */
export const ENCODE_TABLES = 2 ** 22

/** The tables that encoders look things up in, each written to a memory when it is first asked for. */
export class EncodeTables {
  readonly #bytes: Uint8Array
  readonly #addresses = new Map<() => Uint8Array, number>()
  #top: number

  /** @param start address of ENCODE_TABLES bytes */
  constructor(memory: WebAssembly.Memory, start: number) {
    this.#bytes = new Uint8Array(memory.buffer)
    this.#top = start
  }

  /** The address of a type's table, or 0. */
  addressOf(type: string): number {
    const make = formats.get(type)?.encodeTable
    if (!make) return 0
    const known = this.#addresses.get(make)
    if (known !== undefined) return known
    const address = this.#top
    const table = make()
    this.#bytes.set(table, address)
    this.#addresses.set(make, address)
    this.#top = alignUp(address + table.length, 16)
    return address
  }
}

/** An instance on a memory of at least `bytes` of its own. */
export function openEncoders(bytes: number): { readonly encoders: Encoders; readonly memory: WebAssembly.Memory } {
  const pages = Math.ceil(bytes / 65536)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  const { exports } = new WebAssembly.Instance(compileBuild('encode'), { env: { memory } })
  return { encoders: exports as unknown as Encoders, memory }
}
