// The demo model's files and golden data, and the same model rewritten: in shards, or with a tensor per expert. Not a
// test.

import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import type { Gguf, GgufTensor } from '../../../dist/format/gguf/gguf.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { GgufWriter } from '../../../dist/format/gguf/writer.js'
import { floatToHalf } from '../../../dist/format/quants/half.js'
import { type LoadOptions, MixtralModel } from '../../../dist/index.js'

/** Every type of demo model in the repository; the first is the one that ships. */
export const demoTypes = [
  'Q4_K_M',
  'F16',
  'Q8_0',
  'Q6_K',
  'Q5_K_M',
  'Q4_K_S',
  'Q4_0',
  'Q3_K_M',
  'Q2_K',
  'MXFP4_MOE',
  'IQ3_S',
  'IQ3_XXS',
  'IQ2_M',
  'IQ2_XS',
  'IQ2_XXS',
  'IQ1_M',
  'IQ1_S',
  'TQ2_0',
  'TQ1_0',
] as const

export function demoPath(type: string = demoTypes[0]): string {
  const folder = type === demoTypes[0] ? '../../../models' : '../../golden/models'
  return fileURLToPath(new URL(`${folder}/tiny-mixtral.${type}.gguf`, import.meta.url))
}

const golden = (name: string) => readFileSync(new URL(`../../golden/demo/${name}`, import.meta.url))

/** A sequence of tokens, and llama.cpp's distance from the truth on it, by file. */
export const demo: {
  readonly tokens: readonly number[]
  readonly vocab: number
  readonly models: Readonly<Record<string, { readonly llamaCpp: { readonly trimmedMeanKL: number } }>>
} = JSON.parse(golden('logits.json').toString())

/** llama.cpp's own distance from the truth. */
export function llamaCpp(type: string) {
  return demo.models[`tiny-mixtral.${type}.gguf`]!.llamaCpp
}

/** The true logits for those tokens: (tokens, vocab). TQ1_0 and TQ2_0 hold the same values. */
export function demoLogits(type: string): Float32Array {
  if (type === 'TQ1_0') return demoLogits('TQ2_0')
  return new Float32Array(new Uint8Array(golden(`tiny-mixtral.${type}.gguf.logits.f32`)).buffer)
}

interface GreedyText {
  readonly model: string
  readonly prompt: string
  readonly promptTokens: readonly number[]
  readonly tokens: readonly number[]
  readonly text: string
  readonly endsWithEos: boolean
}

const allGreedyTexts: readonly GreedyText[] = JSON.parse(golden('greedy.json').toString())

/** Prompts and their greedy continuations by a model. */
export function greedyTexts(type: string): GreedyText[] {
  return allGreedyTexts.filter(({ model }) => model === `tiny-mixtral.${type}.gguf`)
}

/** The types with golden texts. */
export const greedyTypes = demoTypes.filter((type) => greedyTexts(type).length > 0)

/** The least `ram` with which a model loads: room for one token's experts. */
export async function leastRam(path: string, options: LoadOptions = {}): Promise<number> {
  const refusal = await MixtralModel.load(path, { ...options, ram: 1 }).then(String, (error: Error) => error.message)
  return Number(/expected at least .*? \((\d+) bytes\)/.exec(refusal)![1])
}

/** Writes a model's file again as several shards. Returns the path of the first. */
export async function writeShards(path: string, folder: string, count: number): Promise<string> {
  const gguf = await openGguf(path)
  const bytesOf = dataOf(gguf)
  const tensors = [...gguf.tensors.values()]
  const paths: string[] = []
  for (let shard = 0; shard < count; shard++) {
    const part = tensors.slice((shard * tensors.length) / count, ((shard + 1) * tensors.length) / count)
    const metadata: GgufEntry[] = [
      ...(shard === 0 ? entriesOf(gguf) : []),
      ['split.no', 'uint16', shard],
      ['split.count', 'uint16', count],
      ['split.tensors.count', 'int32', tensors.length],
    ]
    const numbers = [shard + 1, count].map((number) => String(number).padStart(5, '0')).join('-of-')
    paths.push(join(folder, `${basename(path, '.gguf')}-${numbers}.gguf`))
    await write(
      paths[shard]!,
      metadata,
      part.map((tensor) => ({ ...tensor, data: bytesOf(tensor) })),
    )
  }
  return paths[0]!
}

/** Writes a model's file again as files were until April 2024: a tensor per expert, and a router in F16 if asked. */
export async function writeOldLayout(path: string, target: string, options: { routerF16: boolean }): Promise<void> {
  const gguf = await openGguf(path)
  const bytesOf = dataOf(gguf)
  const tensors = [...gguf.tensors.values()].flatMap((tensor): NewTensor[] => {
    const merged = /^(blk\.\d+\.ffn_(?:gate|up|down))_exps\.weight$/.exec(tensor.name)
    if (merged) {
      const [columns, rows, experts] = tensor.shape as [number, number, number]
      return Array.from({ length: experts }, (_, expert) => ({
        name: `${merged[1]}.${expert}.weight`,
        type: tensor.type,
        shape: [columns, rows],
        data: split(bytesOf(tensor), experts, expert),
      }))
    }
    const data = bytesOf(tensor)
    if (!options.routerF16 || !tensor.name.endsWith('ffn_gate_inp.weight')) return [{ ...tensor, data }]
    return [{ ...tensor, type: ggmlTypeByName('F16')!, data: toHalves(data) }]
  })
  await write(target, entriesOf(gguf), tensors)
}

interface NewTensor extends Pick<GgufTensor, 'name' | 'type' | 'shape'> {
  readonly data: Uint8Array
}

async function write(path: string, metadata: readonly GgufEntry[], tensors: readonly NewTensor[]): Promise<void> {
  const writer = await GgufWriter.create(path, { metadata, tensors })
  for (const { data } of tensors) await writer.write(data)
  await writer.close()
}

function entriesOf({ metadata, metadataTypes }: Gguf): GgufEntry[] {
  return [...metadata].map(([key, value]) => [key, metadataTypes.get(key)!, value])
}

/** The data of a model's tensors; its files are read once. */
function dataOf(gguf: Gguf): (tensor: GgufTensor) => Uint8Array {
  const files = gguf.files.map(({ path }) => new Uint8Array(readFileSync(path)))
  return ({ file, offset, bytes }) => files[file]!.subarray(offset, offset + bytes)
}

function split(bytes: Uint8Array, parts: number, part: number): Uint8Array {
  const size = bytes.length / parts
  return bytes.subarray(part * size, (part + 1) * size)
}

function toHalves(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(Uint16Array.from(new Float32Array(bytes.slice().buffer), floatToHalf).buffer) // a copy is aligned
}
