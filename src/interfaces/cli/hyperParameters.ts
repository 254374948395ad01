// The hyper-parameters of a model under names that a reader of papers knows, for `mixtral inspect`. Pure.

import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'

/** Rows of a name and a value. */
export function hyperParameters(config: MixtralConfig): [name: string, value: string][] {
  const float = (value: number) => String(Number(value.toPrecision(7))) // without the digits that float64 adds
  const rows: [string, string | number | undefined][] = [
    ['layers', config.layers],
    ['experts per token', `${config.expertsPerToken} of ${config.experts}`],
    ['width', config.hiddenSize],
    ['width in an expert', config.intermediateSize],
    ['attention heads', config.heads],
    ['key and value heads', config.kvHeads],
    ['width of a head', config.headDim],
    ['vocabulary', `${config.vocabSize} tokens`],
    ['context in training', `${config.maxPositions} tokens`],
    ['sliding window', config.slidingWindow === undefined ? undefined : `${config.slidingWindow} tokens`],
    ['RoPE base', float(config.ropeTheta)],
    ['RoPE dimensions', config.ropeDim],
    ['RMS norm epsilon', float(config.rmsEps)],
    ['router loss in training', config.routerAuxLossCoef === undefined ? undefined : float(config.routerAuxLossCoef)],
  ]
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
}
