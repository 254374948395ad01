// The output of `mixtral perplexity --kl`: in the form of llama-perplexity, or as JSON. Pure.

import type { DivergenceResult } from '../../evaluation/perplexity/divergence.js'
import type { Distribution, Estimate } from '../../evaluation/perplexity/statistics.js'

/** Three tables under the names of llama-perplexity. */
export function divergenceText(result: DivergenceResult): string {
  const { perplexity, basePerplexity, correlation, lnRatio, ratio, difference, divergence, change, rmsChange, sameTop } = result
  const nats = (value: number) => value.toFixed(6).padStart(10)
  const percent = (value: number) => `${(100 * value).toFixed(3).padStart(7)} %`
  return [
    '====== Perplexity statistics ======',
    row('Mean PPL(Q)', estimate(perplexity, nats)),
    row('Mean PPL(base)', estimate(basePerplexity, nats)),
    row('Cor(ln(PPL(Q)), ln(PPL(base)))', `${(100 * correlation).toFixed(2).padStart(7)} %`),
    row('Mean ln(PPL(Q)/PPL(base))', estimate(lnRatio, nats)),
    row('Mean PPL(Q)/PPL(base)', estimate(ratio, nats)),
    row('Mean PPL(Q)-PPL(base)', estimate(difference, nats)),
    '',
    '====== KL divergence statistics ======',
    ...spread('KLD', divergence, nats),
    '',
    '====== Token probability statistics ======',
    ...spread('Δp', change, percent),
    row('RMS Δp', estimate(rmsChange, percent)),
    row('Same top p', estimate(sameTop, percent)),
    '',
  ].join('\n')
}

/** The same figures. Shares are of 1, not of 100. */
export function divergenceJson(result: DivergenceResult) {
  const { perplexity, basePerplexity, correlation, lnRatio, ratio, difference, divergence, change, rmsChange, sameTop } = result
  return {
    perplexity,
    base_perplexity: basePerplexity,
    correlation,
    ln_ratio: lnRatio,
    ratio,
    difference,
    kl_divergence: divergence,
    probability_change: change,
    rms_probability_change: rmsChange,
    same_top: sameTop,
  }
}

const row = (name: string, text: string) => `${name.padEnd(30)}: ${text}`

function estimate({ value, error }: Estimate, form: (value: number) => string): string {
  return `${form(value)} ± ${form(error).trimStart()}`
}

function spread(name: string, { mean, minimum, maximum, percentiles }: Distribution, form: (value: number) => string): string[] {
  const named = (percent: string) => (percent === '50' ? 'Median' : `${Number(percent).toFixed(1)}%`)
  const falling = Object.entries(percentiles).sort(([a], [b]) => Number(b) - Number(a))
  return [
    row(`Mean ${name}`, estimate(mean, form)),
    row(`Maximum ${name}`, form(maximum)),
    ...falling.map(([percent, value]) => row(`${named(percent)} ${name}`, form(value))),
    row(`Minimum ${name}`, form(minimum)),
  ]
}
