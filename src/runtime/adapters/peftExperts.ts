// The factors of all experts of a layer together, as PEFT has them where a model of transformers 5 keeps experts in two
// parameters, gate_up_proj and down_proj: rows of A by experts, columns of B by ranks. Owns how they fall apart into
// experts. Until PEFT 0.19 A met the outputs and B gave the inputs, so that both orders occur; their widths tell.
// After peft.tuners.lora.layer.ParamWrapper: einsum('o r e, e r i -> e o i'), once '-> e i o'. Unsloth has trained
// adapters of the same shapes whose columns of B go by experts, too.

import type { Steps } from '../../base/timeSlice.js'
import { unsupported } from '../../format/tensors/checkpointError.js'
import type { ExpertRole } from '../weights/roles.js'
import { type AdapterBase, type MatrixChange, refuseOther } from './adapter.js'
import { type Factor, withElements, withRows } from './lowRank.js'

/** What a pair of factors changes, and whether A and B have changed places. */
interface FusedRole {
  readonly parameter: 'gate_up_proj' | 'down_proj'
  readonly swapped: boolean
}

/** Columns of B: those of a rank of all experts together, as PEFT has them, or those of an expert. */
export const fusedOrders = ['rank_major', 'grouped_by_expert'] as const
export type FusedOrder = (typeof fusedOrders)[number]

export interface FusedModule extends FusedRole {
  readonly order: FusedOrder
  readonly layer: number
  readonly rank: number
  readonly scale: number
  readonly a: Factor // (experts * rank, inputs)
  readonly b: Factor // (outputs, rank * experts), or (outputs, experts * rank)
}

/**
 * Which of the two parameters factors belong to, by their widths. Throws `MODEL` for those of another model, and
 * `UNSUPPORTED` where inputs and outputs are as many, so that nothing tells which is which.
 */
export function fusedRole(
  { inputs, outputs }: { readonly inputs: number; readonly outputs: number },
  { hiddenSize, intermediateSize }: AdapterBase,
  file: string,
  where: string,
): FusedRole {
  const candidates = [
    { parameter: 'gate_up_proj', from: hiddenSize, to: 2 * intermediateSize },
    { parameter: 'down_proj', from: intermediateSize, to: hiddenSize },
  ] as const
  for (const { parameter, from, to } of candidates) {
    const [straight, swapped] = [inputs === from && outputs === to, inputs === to && outputs === from]
    if (straight && swapped) {
      throw unsupported(file, `${inputs} inputs and as many outputs: nothing tells whether PEFT had them in their later order`, where)
    }
    if (straight || swapped) return { parameter, swapped }
  }
  const expected = candidates.map(({ from, to }) => `${from} and ${to}`).join(', or ')
  return refuseOther(file, `${inputs} inputs and ${outputs} outputs, expected ${expected}`, where)
}

/** The changes of each expert's matrices. Gate and up share A, and each has its half of B's rows. In steps. */
export function* fusedChanges(
  { parameter, swapped, order, layer, rank, scale, a, b }: FusedModule,
  base: AdapterBase,
): Steps<MatrixChange[]> {
  const { experts, hiddenSize, intermediateSize } = base
  const parts: readonly (readonly [ExpertRole, number])[] =
    parameter === 'down_proj'
      ? [['ffnDown', 0]]
      : [
          ['ffnGate', 0],
          ['ffnUp', intermediateSize],
        ]
  const rows = parameter === 'down_proj' ? hiddenSize : intermediateSize
  const changes: MatrixChange[] = []
  for (let expert = 0; expert < experts; expert++) {
    const inB = (k: number) => (order === 'rank_major' ? k * experts + expert : expert * rank + k)
    const inner = swapped
      ? yield* withElements(b, rank, b.rows, (k, column) => column * b.columns + inB(k))
      : withRows(a, rank, (k) => expert * rank + k)
    for (const [role, first] of parts) {
      const outer = yield* swapped
        ? withElements(a, rows, rank, (row, k) => (expert * rank + k) * a.columns + first + row)
        : withElements(b, rows, rank, (row, k) => (first + row) * b.columns + inB(k))
      changes.push({ role, layer, expert, lowRank: { rank, scale, a: inner, b: outer } })
    }
  }
  return changes
}
