// How a model would be loaded here: with all experts in memory, with some of them, or not at all. The answer is the
// plan that loading makes, with the same options and the same memory budget, so the two cannot disagree. Prints
// nothing.

import { byteCount } from '../../base/amounts.js'
import { MixtralError } from '../../base/errors.js'
import { bytesIn } from '../../format/gguf/ggmlType.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import type { MixtralTensors, TensorSlice } from '../../runtime/weights/mixtralTensors.js'
import { type PlanOptions, planModel, residentNeeds } from '../../runtime/weights/plan.js'
import { type QuantizationName, quantizationNames, quantizedType } from '../../runtime/weights/quantizations.js'
import { expertRoles, isQuantized, layerRoles, type Role, recordOf } from '../../runtime/weights/roles.js'

export interface Fit {
  /**
   * `resident`: all experts are in memory. `streamed`: as many as the budget holds, the others are read when needed.
   * `refused`: the budget does not hold what one token needs at once.
   */
  readonly verdict: 'resident' | 'streamed' | 'refused'
  /** Bytes that it may take: weights, KV cache, adapters, scratch memory. Infinite where the system does not tell. */
  readonly budgetBytes: number
  /** Bytes that it takes with all experts in memory, at least where they do not fit. */
  readonly residentBytes: number
  /** Experts that are in memory at a time; 0 where the model is refused. */
  readonly slots: number
  readonly experts: number
  /** The error of loading, where the model is refused. */
  readonly refusal: string | undefined
  /** The quantizations in which all experts would be in memory, largest first; empty where they are. */
  readonly would: readonly QuantizationName[]
}

const MOST_LISTED = 4

/** How the model would be loaded with these options. Throws, as loading does, where no budget would be enough. */
export function fitOf(config: MixtralConfig, tensors: MixtralTensors, options: PlanOptions): Fit {
  const { ram: budgetBytes = Number.POSITIVE_INFINITY } = options
  const residentBytes = bytesOf(config, tensors, options)
  const experts = tensors.layers.reduce((sum, layer) => sum + layer.experts.length, 0)
  const known = { budgetBytes, residentBytes, experts, refusal: undefined, would: [] }
  if (residentBytes <= budgetBytes) return { ...known, verdict: 'resident', slots: experts }
  const would = quantizationNames.filter((name) => {
    const bytes = memoryError(() => bytesOf(config, quantized(name, config, tensors), options))
    return typeof bytes === 'number' && bytes <= budgetBytes
  })
  const slots = memoryError(() => planModel(config, tensors, options).slots.length)
  if (typeof slots === 'number') return { ...known, verdict: 'streamed', slots, would }
  return { ...known, verdict: 'refused', slots: 0, refusal: slots.message, would }
}

/**
 * Experts that would be in memory at a time; 0 where the model is refused. Throws, as loading does, where no budget
 * would be enough.
 */
export function slotsWithin(config: MixtralConfig, tensors: MixtralTensors, options: PlanOptions): number {
  const { ram = Number.POSITIVE_INFINITY } = options
  if (bytesOf(config, tensors, options) <= ram) return tensors.layers.reduce((sum, layer) => sum + layer.experts.length, 0)
  const slots = memoryError(() => planModel(config, tensors, options).slots.length)
  return typeof slots === 'number' ? slots : 0
}

/** Bytes of the model with all experts in memory, and of its adapters. */
function bytesOf(config: MixtralConfig, tensors: MixtralTensors, options: PlanOptions): number {
  return residentNeeds(config, tensors, options).bytes + (options.adapterBytes ?? 0)
}

/** What `plan` returns, or the `MEMORY` error that it throws. */
function memoryError(plan: () => number): number | MixtralError {
  try {
    return plan()
  } catch (error) {
    if (error instanceof MixtralError && error.code === 'MEMORY') return error
    throw error
  }
}

/** The tensors with the types that a quantization gives them. Norms and routers keep theirs. */
function quantized(name: QuantizationName, config: MixtralConfig, tensors: MixtralTensors): MixtralTensors {
  const as = (role: Role, slice: TensorSlice, layer = 0): TensorSlice => {
    if (!isQuantized(role)) return slice
    const type = quantizedType(name, role, layer, slice.columns, config)
    return { ...slice, type, bytes: bytesIn(type, slice.rows * slice.columns) }
  }
  const output = as('output', tensors.output)
  return {
    ...tensors,
    tokenEmbd: tensors.tied ? output : as('tokenEmbd', tensors.tokenEmbd),
    output,
    layers: tensors.layers.map((layer, n) => {
      const expert = recordOf(expertRoles, (role) => as(role, layer.experts[0]![role], n)) // all are of one type now
      return { ...recordOf(layerRoles, (role) => as(role, layer[role], n)), experts: layer.experts.map(() => expert) }
    }),
  }
}

/**
 * The fit as the predicate of a sentence: `needs 28.43 GB of memory, which fits in the 30.10 GB that this machine can
 * spare`.
 * @param source says where the budget comes from
 */
export function fitText(fit: Fit, source = 'that this machine can spare'): string {
  const { verdict, budgetBytes, residentBytes, slots, experts, refusal, would } = fit
  const needs = `needs ${byteCount(residentBytes)} of memory`
  const budget = `the ${byteCount(budgetBytes)} ${source}`
  if (verdict === 'resident') return Number.isFinite(budgetBytes) ? `${needs}, which fits in ${budget}` : needs
  const listed = would.length > MOST_LISTED ? `${would.slice(0, MOST_LISTED).join(', ')} and smaller` : would.join(', ')
  const others = would.length > 0 ? `in ${listed} it would fit` : 'in no quantization would it fit'
  if (verdict === 'refused') return `cannot run here: ${refusal}; ${others}`
  const streamed = `${slots} of ${experts} experts in memory at a time, the others read when needed`
  return `${needs}, which does not fit in ${budget}; runs with ${streamed}; ${others}`
}
