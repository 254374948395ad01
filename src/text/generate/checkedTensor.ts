// One tensor of a loaded model with what its check has found, as the library reports it. Owns the names; the check
// itself is the engine's.

import type { CallOptions } from '../../runtime/engine/callArguments.js'
import type { WeightFindings } from '../../runtime/engine/check/weightFindings.js'
import type { WeightPart } from '../../runtime/engine/check/weightParts.js'
import type { Engine } from '../../runtime/engine/engine.js'

/** A tensor, or one expert's matrix, and what its check has found. */
export interface CheckedTensor extends WeightFindings {
  /** Name in the file, such as `blk.0.ffn_down_exps.weight`. */
  readonly name: string
  /** Index of the layer. -1: the embedding. The number of layers: the output. */
  readonly layer: number
  /** Index of the expert, for an expert's matrix. */
  readonly expert?: number
  /** Block format, such as `Q4_K`. */
  readonly type: string
  /** Number of rows; 1 for a vector. */
  readonly rows: number
  /** Whether memory holds it in the kernels' packed layout. If not, memory holds the bytes of the file. */
  readonly packed: boolean
}

/** Throws what `MixtralModel.checkWeights` throws. */
export async function* checkedTensors(engine: Engine, options: CallOptions): AsyncGenerator<CheckedTensor> {
  for await (const part of engine.checkWeights(options)) yield checkedTensor(part)
}

function checkedTensor(part: WeightPart & WeightFindings): CheckedTensor {
  const { slice, layer, expert, load, unlikeFile, firstUnlike, unlikeOracle, firstOff, error, worstShare } = part
  return {
    name: slice.name,
    layer,
    ...(expert !== undefined && { expert }),
    type: slice.type.name,
    rows: slice.rows,
    packed: load?.packed ?? true, // an expert that is read when needed has no load, and is always packed
    ...{ unlikeFile, firstUnlike, unlikeOracle, firstOff, error, worstShare },
  }
}
