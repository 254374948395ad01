// An adapter in a GGUF file, as llama.cpp has them: `general.type` is `adapter`, and each matrix NAME that changes has
// NAME.lora_a and NAME.lora_b. Owns these keys and names, and what is refused. Reads factors in either layout of
// experts.

import { abortedError, MixtralError, quoted, shown } from '../../base/errors.js'
import { FileSource } from '../../base/files/byteSource.js'
import type { Gguf, GgufTensor } from '../../format/gguf/gguf.js'
import { formats } from '../../format/quants/formats.js'
import { parseTensorName } from '../weights/roles.js'
import {
  type AdaptedRole,
  Adapter,
  type AdapterBase,
  checkBytes,
  checkFit,
  checkRank,
  isExpertRole,
  type MatrixChange,
  type ReadOptions,
  refuseOther,
} from './adapter.js'
import { emptyFactor, type Factor, isFactorType } from './lowRank.js'

/** The two factors of a matrix, or of the matrices of all experts. */
export interface GgufPair {
  /** The name of the matrix. */
  readonly name: string
  readonly role: AdaptedRole
  readonly layer: number
  /** Of one expert. */
  readonly expert: number | undefined
  /** How many experts it has together; 1 unless it is of all. */
  readonly matrices: number
  readonly rank: number
  readonly scale: number
  readonly a: GgufTensor // [columns, rank, matrices]
  readonly b: GgufTensor // [rank, rows, matrices]
}

export interface GgufAdapterHeader {
  /** As in llama.cpp, 0 stands for a scale of 1. */
  readonly alpha: number
  readonly pairs: readonly GgufPair[]
}

/** Whether a file says that it is an adapter. */
export function isGgufAdapter({ metadata }: Gguf): boolean {
  return metadata.get('general.type') === 'adapter'
}

const storedTypes = ['F32', 'F16', 'BF16', 'Q8_0']

/**
 * What the header of an adapter says. Throws `MODEL` for a file that is none or is incomplete, and `UNSUPPORTED`, by
 * name, for what is not applied here.
 */
export function readAdapterHeader(gguf: Gguf): GgufAdapterHeader {
  const file = gguf.files[0]!.path
  const alpha = readAlpha(gguf, file)
  const factors = new Map<string, { a?: GgufTensor; b?: GgufTensor }>()
  for (const tensor of gguf.tensors.values()) {
    const [, name, which] = /^(.*)\.lora_([ab])$/s.exec(tensor.name) ?? []
    if (name === undefined) throw refused(file, tensor.name)
    const pair = factors.get(name) ?? {}
    factors.set(name, { ...pair, [which!]: tensor })
  }
  if (factors.size === 0) throw new MixtralError('MODEL', `${file}: no tensor of an adapter, expected some`)
  const pairs = [...factors].map(([name, { a, b }]) => readPair(file, alpha, name, a, b))
  refuseTwoLayouts(file, pairs)
  return { alpha, pairs }
}

function readAlpha({ metadata }: Gguf, file: string): number {
  const refuse = (code: 'MODEL' | 'UNSUPPORTED', key: string, expected: string): never => {
    throw new MixtralError(code, `${file}: metadata key "${key}": ${shown(metadata.get(key))}, expected ${expected}`)
  }
  if (metadata.get('general.type') !== 'adapter') refuse('MODEL', 'general.type', '"adapter": this is no adapter')
  if (metadata.get('general.architecture') !== 'llama') refuse('MODEL', 'general.architecture', '"llama": it is to another model')
  if (metadata.get('adapter.type') !== 'lora') refuse('UNSUPPORTED', 'adapter.type', '"lora"')
  const tokens = metadata.get('adapter.alora.invocation_tokens')
  if (tokens !== undefined && !(Array.isArray(tokens) && tokens.length === 0)) {
    refuse('UNSUPPORTED', 'adapter.alora.invocation_tokens', 'none: adapters that begin at a text are not applied')
  }
  const alpha = metadata.get('adapter.lora.alpha') ?? 0
  if (typeof alpha !== 'number' || !Number.isFinite(alpha)) return refuse('MODEL', 'adapter.lora.alpha', 'a finite number')
  return alpha
}

/** The error of a tensor that is no factor, or a factor of what is not adapted. */
function refused(file: string, name: string): MixtralError {
  const known = /_norm\.weight$|\.bias$|^token_embd\.|^output\./.test(name)
  if (known) return new MixtralError('UNSUPPORTED', `${file}: tensor ${quoted(name)} would change the result, and is not applied here`)
  return new MixtralError('MODEL', `${file}: tensor ${quoted(name)}, expected names that end in .lora_a and .lora_b`)
}

function readPair(file: string, alpha: number, name: string, a: GgufTensor | undefined, b: GgufTensor | undefined): GgufPair {
  const where = `tensor ${quoted(name)}`
  if (!a || !b) throw new MixtralError('MODEL', `${file}: .lora_${a ? 'b' : 'a'} is missing, expected both factors (${where})`)
  const named = parseTensorName(name)
  if (!named || named.per === 'model' || named.role === 'attnNorm' || named.role === 'ffnNorm') {
    if (named) throw refused(file, name)
    throw new MixtralError('MODEL', `${file}: no matrix of a Mixtral: the adapter is to another model (${where})`)
  }
  for (const { name: own, type, shape } of [a, b]) {
    if (!storedTypes.includes(type.name)) {
      throw new MixtralError('UNSUPPORTED', `${file}: tensor ${quoted(own)} is of type ${type.name}, expected ${storedTypes.join(', ')}`)
    }
    if (shape.length < 2 || shape.slice(3).some((size) => size !== 1)) {
      throw new MixtralError(
        'MODEL',
        `${file}: tensor ${quoted(own)} has shape [${shape}], expected two dimensions, or three of all experts`,
      )
    }
  }
  const rank = a.shape[1]!
  checkRank(rank, file, where)
  const matrices = a.shape[2] ?? 1
  if (b.shape[0] !== rank || (b.shape[2] ?? 1) !== matrices) {
    throw new MixtralError('MODEL', `${file}: shapes [${a.shape}] and [${b.shape}], expected [columns, rank] and [rank, rows] (${where})`)
  }
  const expert = named.per === 'expert' ? named.expert : undefined
  const ofAll = named.per === 'expert' && expert === undefined
  if (!ofAll && matrices !== 1) {
    throw new MixtralError('MODEL', `${file}: factors of ${matrices} matrices, expected those of one (${where})`)
  }
  return { name, role: named.role, layer: named.layer, expert, matrices, rank, scale: alpha === 0 ? 1 : alpha / rank, a, b }
}

function refuseTwoLayouts(file: string, pairs: readonly GgufPair[]): void {
  const merged = new Set(pairs.filter(({ role, expert }) => isExpertRole(role) && expert === undefined).map(placeOf))
  const both = pairs.find((pair) => pair.expert !== undefined && merged.has(placeOf(pair)))
  if (both) throw new MixtralError('MODEL', `${file}: experts merged and apart, expected one layout (tensor ${quoted(both.name)})`)
}

const placeOf = ({ role, layer }: GgufPair) => `${role} ${layer}`

/**
 * Reads an adapter to a model. Throws what `readAdapterHeader` throws, `MODEL` if it does not fit the model or has
 * numbers that are not finite, `MEMORY`, `IO`, `ABORTED`.
 */
export async function loadGgufAdapter(gguf: Gguf, base: AdapterBase, options: ReadOptions = {}): Promise<Adapter> {
  const file = gguf.files[0]!.path
  const { pairs } = readAdapterHeader(gguf)
  for (const { name, role, layer, expert, matrices, rank, a, b } of pairs) {
    const where = `tensor ${quoted(name)}`
    const ofAll = isExpertRole(role) && expert === undefined
    if (ofAll && matrices !== base.experts) refuseOther(file, `${matrices} experts, expected ${base.experts}`, where)
    checkFit(base, { role, layer, expert }, { rank, rows: b.shape[1]!, columns: a.shape[0]! }, file, where)
  }
  checkBytes(
    pairs.flatMap(({ a, b }) => [a, b].map(memoryOf)),
    file,
    options,
  )
  const sources: FileSource[] = []
  try {
    for (const { path } of gguf.files) sources.push(await FileSource.open(path))
    const changes: MatrixChange[] = []
    for (const pair of pairs) {
      const { role, layer, expert, matrices, rank, scale } = pair
      if (options.signal?.aborted) throw abortedError(options.signal)
      const [a, b] = [await readFactors(pair.a, matrices, sources), await readFactors(pair.b, matrices, sources)]
      for (let n = 0; n < matrices; n++) {
        const own = isExpertRole(role) ? (expert ?? n) : undefined
        changes.push({ role, layer, expert: own, lowRank: { rank, scale, a: a[n]!, b: b[n]! } })
      }
    }
    return new Adapter(
      file,
      gguf.files.map(({ path }) => path),
      changes,
      baseModelOf(gguf),
    )
  } finally {
    for (const source of sources) await source.close()
  }
}

/** The repository of the model that it was trained for, or its name. */
function baseModelOf({ metadata }: Gguf): string | undefined {
  const [address, name] = ['repo_url', 'name'].map((key) => metadata.get(`general.base_model.0.${key}`))
  if (typeof address === 'string') return address.replace(/^https:\/\/huggingface\.co\//, '')
  return typeof name === 'string' ? name : undefined
}

/** Bytes of a factor in memory. */
const memoryOf = ({ type, shape, bytes }: GgufTensor) =>
  isFactorType(type.name) ? bytes : 4 * shape.reduce((product, size) => product * size, 1)

/** The matrices of a tensor, one after the other; Q8_0 becomes F32. */
async function readFactors(tensor: GgufTensor, matrices: number, sources: readonly FileSource[]): Promise<Factor[]> {
  const { name, type, shape, offset, bytes } = tensor
  const source = sources[tensor.file]!
  const [columns, rows] = shape as [number, number]
  const each = bytes / matrices
  const factors: Factor[] = []
  for (let n = 0; n < matrices; n++) {
    const stored = await source.read(offset + n * each, each)
    const bad = formats.get(type.name)!.notFinite(stored)
    if (bad > 0) throw new MixtralError('MODEL', `${source.name}: ${bad} values are not finite, expected none (tensor ${quoted(name)})`)
    if (isFactorType(type.name)) {
      const factor = emptyFactor(type.name, rows, columns)
      factor.bytes.set(stored)
      factors.push(factor)
    } else {
      const factor = emptyFactor('F32', rows, columns)
      formats.get(type.name)!.dequantize(stored, new Float32Array(factor.bytes.buffer))
      factors.push(factor)
    }
  }
  return factors
}
