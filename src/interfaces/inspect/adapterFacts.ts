// What the header of a GGUF adapter says: which matrices it changes, at which rank and scale. Whether it fits a model
// is known when both are there. Pure; prints nothing.

import { MixtralError } from '../../base/errors.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { type GgufAdapterHeader, type GgufPair, isGgufAdapter, readAdapterHeader } from '../../runtime/adapters/ggufAdapter.js'
import { headerNeeds } from '../../runtime/adapters/placedAdapters.js'
import { roles } from '../../runtime/weights/roles.js'

export interface AdapterFacts {
  /** 0 stands for a scale of 1. Undefined where it cannot be applied here. */
  readonly alpha: number | undefined
  /** A row for each kind of matrix, in the order of a pass. */
  readonly matrices: readonly AdaptedMatrix[]
  /** Why it cannot be applied here, to any model. */
  readonly refusal: string | undefined
}

interface AdaptedMatrix {
  /** Its name in a GGUF file, such as `attn_q`. */
  readonly name: string
  /** In how many layers it changes. */
  readonly layers: number
  /** Of how many experts of a layer, at most. Undefined for matrices that are of no expert. */
  readonly experts: number | undefined
  readonly ranks: readonly number[]
  readonly scales: readonly number[]
  readonly types: readonly string[]
  readonly weights: number
  readonly bytes: number
}

/** The facts of a file that says that it is an adapter; undefined for another. */
export function adapterFacts(gguf: Gguf): AdapterFacts | undefined {
  return isGgufAdapter(gguf) ? layerFacts(gguf) : undefined
}

/** The facts of a file that must be an adapter, such as one that an Ollama model brings. */
export function layerFacts(gguf: Gguf): AdapterFacts {
  try {
    return factsOf(readAdapterHeader(gguf))
  } catch (error) {
    if (!(error instanceof MixtralError)) throw error
    return { alpha: undefined, matrices: [], refusal: error.message }
  }
}

/** Bytes of memory of adapters that come with a model. One that cannot be applied has none: nothing is loaded then. */
export function adapterMemory(adapters: readonly Gguf[]): number {
  return adapters.reduce((sum, gguf) => {
    try {
      return sum + headerNeeds(readAdapterHeader(gguf))
    } catch (error) {
      if (!(error instanceof MixtralError)) throw error
      return sum
    }
  }, 0)
}

function factsOf({ alpha, pairs }: GgufAdapterHeader): AdapterFacts {
  const matrices = Object.entries(roles).flatMap(([role, { name, per }]) => {
    const own = pairs.filter((pair) => pair.role === role)
    return own.length === 0 ? [] : [adaptedMatrix(name, per === 'expert', own)]
  })
  return { alpha, matrices, refusal: undefined }
}

function adaptedMatrix(name: string, ofExperts: boolean, pairs: readonly GgufPair[]): AdaptedMatrix {
  const factors = pairs.flatMap(({ a, b }) => [a, b])
  const perLayer = new Map<number, number>()
  for (const { layer, matrices } of pairs) perLayer.set(layer, (perLayer.get(layer) ?? 0) + matrices)
  const distinct = <T>(values: readonly T[]) => [...new Set(values)]
  return {
    name,
    layers: perLayer.size,
    experts: ofExperts ? [...perLayer.values()].reduce((most, count) => Math.max(most, count)) : undefined,
    ranks: distinct(pairs.map(({ rank }) => rank)),
    scales: distinct(pairs.map(({ scale }) => scale)),
    types: distinct(factors.map(({ type }) => type.name)),
    weights: factors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
    bytes: factors.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}
