// An adapter in a folder as PEFT writes it: adapter_config.json and adapter_model.safetensors. Owns the names of its
// tensors, of transformers 4 and 5. What rotates halves of a head there rotates pairs here, so the rows of queries and
// keys change their order, as those of the weights do when a checkpoint is converted.

import path from 'node:path'
import { abortedError, MixtralError, quoted } from '../../base/errors.js'
import { FileSource } from '../../base/files/byteSource.js'
import { fileBytes } from '../../base/files/optionalFiles.js'
import { inSlices } from '../../base/timeSlice.js'
import { formats } from '../../format/quants/formats.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import { readSafetensors, type SourceTensor } from '../../format/tensors/safetensors.js'
import { expertMatrices, huggingFace } from '../weights/checkpointNames.js'
import { expertRoles, isVector, layerRoles } from '../weights/roles.js'
import {
  type AdaptedRole,
  Adapter,
  type AdapterBase,
  checkBytes,
  checkFit,
  checkLayer,
  type MatrixChange,
  type ReadOptions,
} from './adapter.js'
import { emptyFactor, type Factor, factorTypes, isFactorType, withRows } from './lowRank.js'
import { PeftConfig } from './peftConfig.js'
import { type FusedModule, fusedChanges, fusedRole } from './peftExperts.js'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

/** The factors of a module, as they are stored. */
interface ModulePair {
  /** The name of the module in the model, for messages and patterns. */
  readonly name: string
  readonly layer: number
  readonly module: string
  readonly a: SourceTensor
  readonly b: SourceTensor
}

/** Roles by the names of their modules in a layer. */
const layerModules: ReadonlyMap<string, AdaptedRole> = new Map(
  layerRoles.flatMap((role) => (isVector(role) ? [] : huggingFace.inLayer[role].map((name) => [moduleOf(name), role] as const))),
)
/** The experts of transformers 5, all of a layer in two parameters of one module, which PEFT wraps twice. */
const fusedModules: readonly string[] = ['mlp.experts', 'mlp.experts.base_layer']

function moduleOf(tensor: string): string {
  return tensor.replace(/\.weight$/, '')
}

/**
 * Reads an adapter to a model. Throws `IO`; `CHECKPOINT` for a malformed or incomplete folder; `UNSUPPORTED`, by name,
 * for what is not applied here; `MODEL` if it does not fit the model or has numbers that are not finite; `MEMORY`;
 * `ABORTED`.
 */
export async function loadPeftAdapter(folder: string, base: AdapterBase, options: ReadOptions = {}): Promise<Adapter> {
  const config = await PeftConfig.read(folder)
  const file = path.join(folder, WEIGHTS)
  const source = await openWeights(folder, file)
  try {
    const tensors = await readSafetensors(source)
    const pairs = pairsOf(tensors, file)
    checkBytes(
      tensors.map(({ bytes }) => bytes),
      file,
      options,
    )
    const changes = new Map<string, MatrixChange>()
    for (const pair of pairs) {
      if (options.signal?.aborted) throw abortedError(options.signal)
      for (const change of await changesOf(pair, config, base, file, options.signal)) {
        const { role, layer, expert } = change
        const key = `${role} ${layer} ${expert ?? ''}`
        if (changes.has(key)) throw checkpointError(file, 'a second change of the same matrix', `module ${quoted(pair.name)}`)
        changes.set(key, change)
      }
    }
    return new Adapter(folder, [path.join(folder, CONFIG), file], [...changes.values()], config.baseModel)
  } finally {
    await source.close()
  }
}

async function openWeights(folder: string, file: string): Promise<FileSource> {
  if ((await fileBytes(file)) === undefined && (await fileBytes(path.join(folder, 'adapter_model.bin'))) !== undefined) {
    throw unsupported(folder, `"adapter_model.bin" is a pickle, which is a program and not data, expected ${WEIGHTS}`)
  }
  return FileSource.open(file)
}

/** The pairs of a file, in its order. */
function pairsOf(tensors: readonly SourceTensor[], file: string): ModulePair[] {
  const found = new Map<string, { layer: number; module: string; a?: SourceTensor; b?: SourceTensor }>()
  for (const tensor of tensors) {
    const pattern = /^base_model\.model\.(model\.layers\.(0|[1-9]\d{0,5})\.(.+))\.lora_([AB])\.weight$/s
    const [, name, layer, module, which] = pattern.exec(tensor.name) ?? []
    if (name === undefined) throw refused(file, tensor.name)
    if (!isFactorType(tensor.dtype)) {
      throw unsupported(
        file,
        `elements of type ${quoted(tensor.dtype)}, expected ${factorTypes.join(', ')}`,
        `tensor ${quoted(tensor.name)}`,
      )
    }
    if (tensor.shape.length !== 2) {
      throw checkpointError(file, `shape [${tensor.shape}], expected rows and columns`, `tensor ${quoted(tensor.name)}`)
    }
    const pair = found.get(name) ?? { layer: Number(layer), module: module! }
    found.set(name, { ...pair, [which === 'A' ? 'a' : 'b']: tensor })
  }
  if (found.size === 0) throw checkpointError(file, 'no factors of an adapter, expected some')
  return [...found].map(([name, { layer, module, a, b }]) => {
    if (a && b) return { name, layer, module, a, b }
    throw checkpointError(file, `lora_${a ? 'B' : 'A'} is missing, expected both factors`, `module ${quoted(name)}`)
  })
}

/** The error of a tensor that is no factor of a matrix that is adapted here. */
function refused(file: string, name: string): MixtralError {
  const where = `tensor ${quoted(name)}`
  if (name.includes('lora_magnitude_vector')) return unsupported(file, 'DoRA scales the rows of the weights, too', where)
  if (/embed_tokens|lm_head|lora_embedding/.test(name)) return unsupported(file, 'embedding and output are not adapted here', where)
  const expected = 'expected names such as base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight'
  return unsupported(file, `would change the result, and is not applied here, ${expected}`, where)
}

async function changesOf(
  pair: ModulePair,
  config: PeftConfig,
  base: AdapterBase,
  file: string,
  signal?: AbortSignal,
): Promise<MatrixChange[]> {
  const { name, layer, module, a, b } = pair
  const where = `module ${quoted(name)}`
  if (fusedModules.includes(module)) {
    const shape = { inputs: a.shape[1]!, outputs: b.shape[0]! }
    const { parameter, swapped } = fusedRole(shape, base, file, where)
    const names = [`${name.replace(/\.base_layer$/, '')}.${parameter}`]
    const [rank, scale] = [config.rank(...names), config.scale(...names)]
    const width = rank * base.experts
    if (a.shape[0] !== width || b.shape[1] !== width) {
      const problem = `factors of ranks ${a.shape[0]} and ${b.shape[1]}, expected ${width}: rank ${rank} for each of ${base.experts} experts`
      throw checkpointError(file, problem, where)
    }
    checkLayer(base, layer, file, where)
    const { fusedOrder: order } = config
    if (!order) {
      const expected = 'expected "rank_major", or "grouped_by_expert" of one that was trained before'
      const problem = `absent, and until September 2026 Unsloth had another order of experts, ${expected}`
      throw unsupported(config.file, problem, 'key "lora_B_layout"')
    }
    const fused: FusedModule = { parameter, swapped, order, layer, rank, scale, a: await readFactor(a), b: await readFactor(b) }
    return inSlices(fusedChanges(fused, base), signal)
  }
  const place = placeOf(module)
  if (!place) throw refused(file, a.name)
  const names = [name, `${name}.weight`]
  const [rank, scale] = [config.rank(...names), config.scale(...names)]
  if (a.shape[0] !== rank || b.shape[1] !== rank) {
    throw checkpointError(file, `factors of ranks ${a.shape[0]} and ${b.shape[1]}, expected ${rank}, as ${CONFIG} has it`, where)
  }
  checkFit(base, { ...place, layer }, { rank, rows: b.shape[0]!, columns: a.shape[1]! }, file, where)
  const isRotated = place.role === 'attnQ' || place.role === 'attnK'
  const stored = await readFactor(b)
  const lowRank = { rank, scale, a: await readFactor(a), b: isRotated ? interleaved(stored, base.headDim) : stored }
  return [{ ...place, layer, lowRank }]
}

function placeOf(module: string): { readonly role: AdaptedRole; readonly expert?: number } | undefined {
  const role = layerModules.get(module)
  if (role) return { role }
  const [, digits, matrix] = /\.(0|[1-9]\d{0,5})\.(w[123])$/.exec(module) ?? []
  const expertRole = expertRoles.find((one) => expertMatrices[one] === matrix)
  if (!expertRole) return undefined
  const expert = Number(digits)
  return moduleOf(huggingFace.expert(expert, expertMatrices[expertRole])) === module ? { role: expertRole, expert } : undefined
}

/** The rows of each head as pairs, (2i, 2i + 1), that were halves, (i, i + headDim / 2). */
function interleaved(factor: Factor, headDim: number): Factor {
  return withRows(factor, factor.rows, (row) => {
    const inHead = row % headDim
    return row - inHead + (inHead % 2) * (headDim / 2) + Math.floor(inHead / 2)
  })
}

async function readFactor({ name, dtype, shape, source, offset, bytes }: SourceTensor): Promise<Factor> {
  const [rows, columns] = shape as [number, number]
  const stored = await source.read(offset, bytes)
  const bad = formats.get(dtype)!.notFinite(stored)
  if (bad > 0) throw new MixtralError('MODEL', `${source.name}: ${bad} values are not finite, expected none (tensor ${quoted(name)})`)
  const factor = emptyFactor(dtype as Factor['type'], rows, columns)
  factor.bytes.set(stored)
  return factor
}
