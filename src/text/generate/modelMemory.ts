// What a loaded model takes of the machine's memory, as the library reports it. Owns the names of the figures. The plan
// has decided the sizes, before the model was loaded.

import type { KvFormat } from '../../runtime/kernels/abi.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import type { Plan } from '../../runtime/weights/plan.js'

/** The memory of a loaded model. All sizes are in bytes, and none changes while the model is open. */
export interface ModelMemory {
  /**
   * Weights in memory: all of the model's, or, where `expertSlots` is less than `experts`, those that are resident at
   * one time.
   */
  readonly weightBytes: number
  /** The KV cache: `kvTokens` positions, which all calls share. */
  readonly kvBytes: number
  /** Format of the keys and values in the KV cache. */
  readonly kvFormat: KvFormat
  /** Weights, KV cache and scratch memory together: what the option `ram` limits. */
  readonly totalBytes: number
  /** Number of experts in the model: layers times experts per layer. */
  readonly experts: number
  /**
   * Number of experts that memory has slots for. Where it is less than `experts`, experts are read from the file when
   * they are needed.
   */
  readonly expertSlots: number
}

export function modelMemory(plan: Plan, config: MixtralConfig): ModelMemory {
  return {
    weightBytes: plan.weightBytes,
    kvBytes: plan.kvBytes,
    kvFormat: plan.kvFormat,
    totalBytes: plan.bytes,
    experts: config.layers * config.experts,
    expertSlots: plan.slots.length,
  }
}
