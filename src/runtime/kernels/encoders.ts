// The kernels that write weights, a module of their own: nothing that runs a model needs them, and they are the same in
// every engine. Mirrors the exports of the files in asconfig.encode.json.

import type { FormatName } from '../../format/quants/formats.js'
import { compileBuild } from './compile.js'

/**
 * `blocks` blocks of float32 at src to blocks of the format at dst; room: ENCODE_ROOM bytes. All addresses except src
 * are multiples of 16. Up to 8 bytes after the output may be read. importance: of each weight, as float32, or 0.
 */
type Encode = (src: number, blocks: number, dst: number, room: number, importance: number) => void

/** Bytes that an encoder needs beside its input and output. */
export const ENCODE_ROOM = 2048

/** What an instance exports. All arguments are byte offsets into its memory or counts. */
export type Encoders = { readonly [K in Lowercase<FormatName> as `encode_${K}`]?: Encode } & {
  /** How many of `count` float32, a multiple of 4, are not numbers of at most `most` in magnitude. */
  readonly count_beyond: (src: number, count: number, most: number) => number
  /** `count` weights, a multiple of 4, to float32. */
  readonly decode_f16: (src: number, count: number, dst: number) => void
  readonly decode_bf16: (src: number, count: number, dst: number) => void
}

/** The types whose kernels pass over importances: Q8_0 has no search at all. */
const unweighing = ['Q4_0']

/**
 * The kernel that writes the type, if there is one. Other types are written by their oracle in format/quants/.
 * @param weighed whether it must heed importances
 */
export function encoderOf(encoders: Encoders, type: string, weighed = false): Encode | undefined {
  if (weighed && unweighing.includes(type)) return undefined
  return encoders[`encode_${type.toLowerCase() as Lowercase<FormatName>}`]
}

/** An instance on a memory of at least `bytes` of its own. */
export function openEncoders(bytes: number): { readonly encoders: Encoders; readonly memory: WebAssembly.Memory } {
  const pages = Math.ceil(bytes / 65536)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  const { exports } = new WebAssembly.Instance(compileBuild('encode'), { env: { memory } })
  return { encoders: exports as unknown as Encoders, memory }
}
