// Adapters and the tensors to be written: which changes go into which tensor, in either layout of experts, and what the
// merging has lost in the end. Reads no data.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import { formats } from '../../format/quants/formats.js'
import type { AdaptedRole } from '../../runtime/adapters/adapter.js'
import type { AdapterSet } from '../../runtime/adapters/adapterSet.js'
import type { LowRank } from '../../runtime/adapters/lowRank.js'
import { isVector, parseTensorName } from '../../runtime/weights/roles.js'
import { isElementType } from '../convert/elementType.js'
import type { LaidOutTensor } from './expertLayout.js'
import type { WeightRun } from './units.js'

/** What merging did to a tensor. */
export interface MergedTensor {
  readonly name: string
  readonly weights: number
  /** Root mean square of what the adapters change. */
  readonly change: number
  /** Root mean square of what rounding to the type of the tensor adds to the exact result. */
  readonly loss: number
}

/** The changes of each matrix of a tensor; undefined if there are none. */
export function changesOf(adapters: AdapterSet | undefined, { name, shape }: LaidOutTensor): LowRank[][] | undefined {
  const named = parseTensorName(name)
  if (!adapters || !named || named.per === 'model' || isVector(named.role)) return undefined
  const { role, layer } = named as { readonly role: AdaptedRole; readonly layer: number }
  const ofAll = named.per === 'expert' && named.expert === undefined
  const experts = named.per === 'layer' ? [undefined] : ofAll ? Array.from({ length: shape[2] ?? 1 }, (_, n) => n) : [named.expert]
  const changes = experts.map((expert) => adapters.at({ role, layer, expert }))
  return changes.every(({ length }) => length === 0) ? undefined : changes
}

/** Throws `OPTION` for a type that cannot be written here. */
export function checkWritable(name: string, type: GgmlType): void {
  if (isElementType(type.name) || formats.get(type.name)?.encode) return
  throw new MixtralError(
    'OPTION',
    `tensor ${quoted(name)} is ${type.name}, which is not written here: adapters are merged when it becomes another type`,
  )
}

/** What merging did to each tensor, in the order of the file. */
export function mergedTensors(tensors: readonly { readonly name: string; readonly runs: readonly WeightRun[] }[]): MergedTensor[] {
  return tensors.flatMap(({ name, runs }) => {
    if (!runs.some(({ merge }) => merge)) return []
    const weights = runs.reduce((sum, run) => sum + run.weights, 0)
    const sum = (which: 0 | 1) =>
      runs.reduce(
        (all, { merge }) => (merge ? merge.squares.reduce((own, value, i) => (i % 2 === which ? own + value : own), all) : all),
        0,
      )
    return [{ name, weights, change: Math.sqrt(sum(0) / weights), loss: Math.sqrt(sum(1) / weights) }]
  })
}
