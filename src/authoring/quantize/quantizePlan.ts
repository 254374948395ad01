// The plan of a quantization or a copy: for each tensor to be written, its type and the parts that it is made of.
// Owns the choice of what keeps its type. Pure: reads no data.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgufEntry, GgufPlan } from '../../format/gguf/encodeHeader.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { formats } from '../../format/quants/formats.js'
import type { AdapterSet } from '../../runtime/adapters/adapterSet.js'
import type { LowRank } from '../../runtime/adapters/lowRank.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { fileTypeOf, type QuantizationName, quantizationNames, quantizedType } from '../../runtime/weights/quantizations.js'
import { isQuantized, parseTensorName } from '../../runtime/weights/roles.js'
import type { Imatrix } from '../imatrix/imatrix.js'
import { changesOf, checkWritable } from './adapterMerge.js'
import { type ExpertLayout, type LaidOutTensor, layOutExperts, type TensorSource } from './expertLayout.js'
import { importanceOf, isCollected, needsImportance, unknownIn } from './importance.js'

/** What `quantizeModel` writes. `copy` keeps every weight as it is. */
export type QuantizeType = Exclude<QuantizationName, `IQ1_${string}` | 'MXFP4_MOE'> | 'copy'
export const quantizeTypes = [...quantizationNames.filter((name) => !/^IQ1|^MXFP4/.test(name)), 'copy'] as readonly QuantizeType[]

export interface QuantizePlan extends GgufPlan {
  /** For each of `tensors`, what it is made of. */
  readonly sources: readonly (readonly TensorSource[])[]
  /** For each of `tensors`, how much errors count in its columns: (experts, columns). Undefined if that is unknown. */
  readonly importances: readonly (Float32Array | undefined)[]
  /** For each of `tensors`, what adapters change in each of its matrices. Undefined if they change none. */
  readonly changes: readonly (readonly (readonly LowRank[])[] | undefined)[]
  /** The tensors, or experts of tensors, that the importance matrix should know and does not. */
  readonly unweighed: readonly string[]
}

/** An importance matrix, and the name of its file. */
interface NamedImatrix {
  readonly imatrix: Imatrix
  readonly file: string
}

interface PlanOptions {
  readonly type: QuantizeType
  readonly layout: ExpertLayout
  readonly requantize: boolean
  readonly weighing?: NamedImatrix | undefined
  /** Adapters to be merged into the weights. */
  readonly adapters?: AdapterSet | undefined
}

const floats: readonly string[] = ['F32', 'F16', 'BF16']
const bits = ({ blockBytes, blockWeights }: GgmlType) => (blockBytes * 8) / blockWeights

/**
 * Throws `OPTION` if the input is quantized already and `requantize` is not set, if no tensor would become smaller, if
 * a type needs an importance matrix that is not there, or if that is of another model, or if adapters change a tensor
 * of a type that is not written here; and `MODEL` for experts that do not fit together.
 */
export function planQuantization(gguf: Gguf, config: MixtralConfig, options: PlanOptions): QuantizePlan {
  const { type, layout, requantize, weighing, adapters } = options
  const tied = !gguf.tensors.has('output.weight')
  const laidOut = layOutExperts(gguf, layout)
  const types = laidOut.map((tensor) => {
    const { sources } = tensor
    const own = sources[0]!.type
    const wanted = type === 'copy' ? undefined : wantedType(tensor, type, tied, config, weighing !== undefined)
    if (!wanted) {
      const other = sources.find((source) => source.type !== own)
      if (!other) return own
      throw new MixtralError(
        'OPTION',
        `tensors ${quoted(sources[0]!.name)} and ${quoted(other.name)} are ${own.name} and ${other.type.name}, expected one type to merge them: quantize them, or keep --layout per-expert`,
      )
    }
    return chooseType(sources, wanted, requantize)
  })
  const changes = laidOut.map((tensor) => changesOf(adapters, tensor))
  const converted = laidOut.map(({ sources }, i) => changes[i] !== undefined || sources.some((source) => source.type !== types[i]))
  if (type !== 'copy' && !converted.includes(true)) {
    throw new MixtralError('OPTION', `no tensor of ${gguf.files[0]!.path} would become smaller in ${type}, expected a file of larger types`)
  }
  for (const [i, { name }] of laidOut.entries()) if (changes[i]) checkWritable(name, types[i]!)
  const importances = laidOut.map((tensor, i) => (weighing && converted[i] ? importanceOf(weighing.imatrix, tensor) : undefined))
  for (const [i, { name }] of laidOut.entries()) {
    if (converted[i] && !importances[i] && needsImportance(type, name, types[i]!)) refuseWithout(name, types[i]!, weighing)
  }
  return {
    metadata: metadataFor(gguf, type, weighing),
    tensors: laidOut.map(({ name, shape }, i) => ({ name, shape, type: types[i]! })),
    sources: laidOut.map(({ sources }) => sources),
    importances,
    changes,
    unweighed: laidOut.flatMap((tensor, i) =>
      weighing && converted[i] && isCollected(tensor.name) ? unknownIn(weighing.imatrix, tensor) : [],
    ),
  }
}

function refuseWithout(name: string, { name: type }: GgmlType, weighing: NamedImatrix | undefined): never {
  const found = weighing ? `which ${weighing.file} does not know` : 'and there is none'
  throw new MixtralError(
    'OPTION',
    `tensor ${quoted(name)} in ${type} needs an importance matrix, ${found}: mixtral imatrix makes one, --imatrix passes it`,
  )
}

/** The type that a quantization gives to a tensor. Undefined if it keeps its type, as norms and routers do. */
function wantedType(
  { name, shape }: LaidOutTensor,
  type: QuantizationName,
  tied: boolean,
  config: MixtralConfig,
  weighed: boolean,
): GgmlType | undefined {
  const { role, layer = 0 } = parseTensorName(name) ?? {}
  if (!role || !isQuantized(role)) return undefined
  return quantizedType(type, role === 'tokenEmbd' && tied ? 'output' : role, layer, shape[0]!, config, weighed)
}

/** `wanted`, or the weights' own type if that is no larger: a larger type does not bring lost precision back. */
function chooseType(sources: readonly TensorSource[], wanted: GgmlType, requantize: boolean): GgmlType {
  const own = sources[0]!.type
  const alike = sources.every((source) => source.type === own)
  if (alike && (own === wanted || (!floats.includes(own.name) && bits(own) <= bits(wanted)))) return own
  for (const { name, type } of sources) {
    if (!floats.includes(type.name) && !requantize) {
      throw new MixtralError(
        'OPTION',
        `tensor ${quoted(name)} is ${type.name}, expected ${floats.join(', ')}: quantizing twice costs quality; --requantize does it all the same`,
      )
    }
    if (!formats.has(type.name))
      throw new MixtralError('UNSUPPORTED', `tensor ${quoted(name)} is ${type.name}, which is not supported here`)
  }
  return wanted
}

/** The input's metadata, without the keys of shards, and with the new file type and llama-quantize's keys. */
function metadataFor({ metadata, metadataTypes, rawTexts }: Gguf, type: QuantizeType, weighing: NamedImatrix | undefined): GgufEntry[] {
  const kept = [...metadata]
    .filter(([key]) => !key.startsWith('split.'))
    .map(([key, value]): GgufEntry => {
      const raw = rawTexts.get(key)
      return raw ? [key, metadataTypes.get(key)!, value, raw] : [key, metadataTypes.get(key)!, value]
    })
  if (type === 'copy') return kept
  const changed: GgufEntry[] = [
    ['general.quantization_version', 'uint32', 2],
    ['general.file_type', 'uint32', fileTypeOf(type)],
  ]
  if (weighing) {
    const { imatrix, file } = weighing
    changed.push(['quantize.imatrix.file', 'string', file])
    if (imatrix.datasets.length) changed.push(['quantize.imatrix.dataset', 'string', imatrix.datasets.join(', ')])
    changed.push(['quantize.imatrix.entries_count', 'int32', imatrix.entries.size])
    if (imatrix.windows > 0) changed.push(['quantize.imatrix.chunks_count', 'int32', Math.min(imatrix.windows, 2 ** 31 - 1)])
  }
  const isOld = (key: string) => changed.some(([other]) => other === key) || key.startsWith('quantize.imatrix.')
  return [...kept.filter(([key]) => !isOld(key)), ...changed]
}
