// The tensors of models that have no file: shapes and types as the planner sees them. Not a test.

import { bytesIn, ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import type { MixtralTensors, TensorSlice } from '../../../dist/runtime/weights/mixtralTensors.js'
import { type QuantizationName, quantizedType } from '../../../dist/runtime/weights/quantizations.js'
import {
  expertRoles,
  isQuantized,
  isVector,
  layerRoles,
  type Role,
  recordOf,
  shapeOf,
  tensorName,
} from '../../../dist/runtime/weights/roles.js'
import { architectureMetadata, type Hyperparameters } from '../../format/gguf/mixtralMetadata.js'

const rest = { headDim: 128, kvHeads: 8, experts: 8, used: 2, vocab: 32000 }
export const mixtral8x7b: Hyperparameters = { layers: 32, hidden: 4096, intermediate: 14336, heads: 32, ...rest }
export const mixtral8x22b: Hyperparameters = { layers: 56, hidden: 6144, intermediate: 16384, heads: 48, ...rest }

export function configOf(hyperparameters: Hyperparameters): MixtralConfig {
  const metadata = architectureMetadata(hyperparameters, 32768).map(([key, , value]) => [key, value] as const)
  return MixtralConfig.fromGgufMetadata(new Map([...metadata, ['llama.vocab_size', hyperparameters.vocab]]))
}

/** The type of a matrix by its role, its layer (0 if it is in none) and its columns. Vectors are F32. */
export type TypeRule = (role: Role, layer: number, columns: number) => string

/** All tensors of a model, one after the other in a file without a header. */
export function tensorsOf(hyperparameters: Hyperparameters, typeOf: TypeRule): MixtralTensors {
  const config = configOf(hyperparameters)
  const { tied = false } = hyperparameters
  let offset = 0
  const slice = (role: Role, layer = 0): TensorSlice => {
    const { rows, columns } = shapeOf(role, config)
    const type = ggmlTypeByName(isVector(role) ? 'F32' : typeOf(role, layer, columns))!
    const bytes = bytesIn(type, rows * columns)
    offset += bytes
    return { name: tensorName(role, layer), type, rows, columns, file: 0, offset: offset - bytes, bytes }
  }
  const tokenEmbd = slice('tokenEmbd')
  return {
    tokenEmbd,
    tied,
    outputNorm: slice('outputNorm'),
    output: tied ? tokenEmbd : slice('output'),
    layers: Array.from({ length: config.layers }, (_, layer) => ({
      ...recordOf(layerRoles, (role) => slice(role, layer)),
      experts: Array.from({ length: config.experts }, () => recordOf(expertRoles, (role) => slice(role, layer))),
    })),
  }
}

/** A type for all matrices except the router, which is F32. */
export function allOf(type: string): TypeRule {
  return (role) => (isQuantized(role) ? type : 'F32')
}

/** The types that a quantization gives to the matrices of a model. */
export function typesOf(name: QuantizationName, hyperparameters: Hyperparameters): TypeRule {
  const config = configOf(hyperparameters)
  return (role, layer, columns) => (isQuantized(role) ? quantizedType(name, role, layer, columns, config).name : 'F32')
}
