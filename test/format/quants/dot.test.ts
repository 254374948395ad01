// The dot products that define the kernels' results, against float64 over the same dequantized values.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Format, formats } from '../../../dist/format/quants/formats.js'
import { halfOffsets } from './halfOffsets.js'

/** Repeatable values in [-size, size). */
function row(columns: number, size = 1): Float32Array {
  return Float32Array.from({ length: columns }, (_, i) => ((Math.imul(i + 1, 0x9e3779b9) >>> 8) / 2 ** 23 - 1) * size)
}

/** MXFP4's golden weights reach up to 2^128. Smaller activations keep their products finite. */
const sizeFor = (name: string) => (name === 'MXFP4' ? 2 ** -20 : 1)

/** The golden blocks. F32 has none: its weights are floats of any bits. */
function blocksOf(name: string): Uint8Array {
  if (name === 'F32') return new Uint8Array(row(408).buffer)
  return new Uint8Array(readFileSync(new URL(`../../golden/blocks/${name}.bin`, import.meta.url)))
}

/** What rounded activations stand for, in float64: a whole number of steps each, or the values themselves. */
function exactValues({ values, halfSteps }: ReturnType<Format['round']>): Float64Array {
  return Float64Array.from(values, (value, i) => (halfSteps[i] === 0 ? value : Math.round(value / (2 * halfSteps[i]!)) * 2 * halfSteps[i]!))
}

for (const [name, format] of formats) {
  const { type, dequantize, round } = format
  const blocks = blocksOf(name)
  const weights = new Float32Array((blocks.length / type.blockBytes) * type.blockWeights)
  dequantize(blocks, weights)
  // how many times the parts of a weight may exceed the weight: with a scale and a min, two products can nearly cancel
  const scale = halfOffsets(format).length > 1 ? 4 : 1

  test(`${name}: the dot product is that of float64, rounded to float32 at each step`, () => {
    const rounded = round(row(weights.length, sizeFor(name)))
    const values = exactValues(rounded)
    const exact = weights.reduce((sum, weight, i) => sum + weight * values[i]!, 0)
    const magnitude = weights.reduce((sum, weight, i) => sum + Math.abs(weight * values[i]!), 0)
    // Each sum of the chain rounds once, and so does each of its terms: 2^-24 of the magnitudes per step.
    const steps = weights.length / Math.max(type.blockWeights, 4) + 4
    expect(Math.abs(rounded.dot(blocks) - exact)).toBeLessThanOrEqual(steps * scale * 2 ** -24 * magnitude)
  })

  test(`${name}: a NaN among the activations makes the dot product NaN`, () => {
    const x = row(weights.length)
    x[5] = Number.NaN
    expect(round(x).dot(blocks)).toBeNaN()
  })

  test(`${name}: the dot product starts from +0`, () => {
    expect(round(new Float32Array(type.blockWeights)).dot(new Uint8Array(type.blockBytes))).toBe(0)
  })
}
