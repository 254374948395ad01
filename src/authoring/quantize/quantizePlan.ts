// The plan of a quantization or a copy: for each tensor to be written, its type and the parts that it is made of.
// Owns the choice of what keeps its type. Pure: reads no data.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgufEntry, GgufPlan } from '../../format/gguf/encodeHeader.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { formats } from '../../format/quants/formats.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { fileTypeOf, type QuantizationName, quantizationNames, quantizedType } from '../../runtime/weights/quantizations.js'
import { isQuantized, parseTensorName } from '../../runtime/weights/roles.js'
import { type ExpertLayout, type LaidOutTensor, layOutExperts, type TensorSource } from './expertLayout.js'

/** What `quantizeModel` writes. `copy` keeps every weight as it is. */
export type QuantizeType = Exclude<QuantizationName, `IQ${string}` | 'MXFP4_MOE' | 'Q2_K_S'> | 'copy'
export const quantizeTypes = [...quantizationNames.filter((name) => !/^IQ|^MXFP4|^Q2_K_S/.test(name)), 'copy'] as readonly QuantizeType[]

export interface QuantizePlan extends GgufPlan {
  /** For each of `tensors`, what it is made of. */
  readonly sources: readonly (readonly TensorSource[])[]
}

const floats: readonly string[] = ['F32', 'F16', 'BF16']
const bits = ({ blockBytes, blockWeights }: GgmlType) => (blockBytes * 8) / blockWeights

/**
 * Throws `OPTION` if the input is quantized already and `requantize` is not set, or if no tensor would become smaller,
 * and `MODEL` for experts that do not fit together.
 */
export function planQuantization(
  gguf: Gguf,
  config: MixtralConfig,
  { type, layout, requantize }: { readonly type: QuantizeType; readonly layout: ExpertLayout; readonly requantize: boolean },
): QuantizePlan {
  const tied = !gguf.tensors.has('output.weight')
  const laidOut = layOutExperts(gguf, layout)
  const types = laidOut.map((tensor) => {
    const { sources } = tensor
    const own = sources[0]!.type
    const wanted = type === 'copy' ? undefined : wantedType(tensor, type, tied, config)
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
  const changes = laidOut.some(({ sources }, i) => sources.some((source) => source.type !== types[i]))
  if (type !== 'copy' && !changes) {
    throw new MixtralError('OPTION', `no tensor of ${gguf.files[0]!.path} would become smaller in ${type}, expected a file of larger types`)
  }
  return {
    metadata: metadataFor(gguf, type),
    tensors: laidOut.map(({ name, shape }, i) => ({ name, shape, type: types[i]! })),
    sources: laidOut.map(({ sources }) => sources),
  }
}

/** The type that a quantization gives to a tensor. Undefined if it keeps its type, as norms and routers do. */
function wantedType({ name, shape }: LaidOutTensor, type: QuantizationName, tied: boolean, config: MixtralConfig): GgmlType | undefined {
  const { role, layer = 0 } = parseTensorName(name) ?? {}
  if (!role || !isQuantized(role)) return undefined
  return quantizedType(type, role === 'tokenEmbd' && tied ? 'output' : role, layer, shape[0]!, config)
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

/** The input's metadata, without the keys of shards, and with the new file type. */
function metadataFor({ metadata, metadataTypes, rawTexts }: Gguf, type: QuantizeType): GgufEntry[] {
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
  const old = new Set(changed.map(([key]) => key))
  return [...kept.filter(([key]) => !old.has(key)), ...changed]
}
