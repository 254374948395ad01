// The dot products that define the kernels' results, against float64 over the same dequantised values.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { quantizeQ8K, quantizeQ80, quantizeQ81 } from '../../../dist/format/quants/activations.js'
import { dotBF16 } from '../../../dist/format/quants/bf16.js'
import { dotF16 } from '../../../dist/format/quants/f16.js'
import { dotF32 } from '../../../dist/format/quants/f32.js'
import { formats } from '../../../dist/format/quants/formats.js'
import { dotIQ4NL } from '../../../dist/format/quants/iq4_nl.js'
import { dotIQ4XS } from '../../../dist/format/quants/iq4_xs.js'
import { dotQ2K } from '../../../dist/format/quants/q2_k.js'
import { dotQ3K } from '../../../dist/format/quants/q3_k.js'
import { dotQ40 } from '../../../dist/format/quants/q4_0.js'
import { dotQ41 } from '../../../dist/format/quants/q4_1.js'
import { dotQ4K } from '../../../dist/format/quants/q4_k.js'
import { dotQ50 } from '../../../dist/format/quants/q5_0.js'
import { dotQ51 } from '../../../dist/format/quants/q5_1.js'
import { dotQ5K } from '../../../dist/format/quants/q5_k.js'
import { dotQ6K } from '../../../dist/format/quants/q6_k.js'
import { dotQ80 } from '../../../dist/format/quants/q8_0.js'

const golden = (name: string) => new Uint8Array(readFileSync(new URL(`../../golden/blocks/${name}.bin`, import.meta.url)))

interface Activation {
  readonly d: Float32Array
  readonly q: Int8Array
}

/** What a quantised row stands for, in float64. */
const valuesOf = ({ d, q }: Activation) => Float64Array.from(q, (quant, i) => quant * d[Math.floor((i * d.length) / q.length)]!)

function viaQ8K(dot: (row: Uint8Array, x: ReturnType<typeof quantizeQ8K>) => number) {
  return (row: Uint8Array, x: Float32Array) => {
    const quantized = quantizeQ8K(x)
    return { result: dot(row, quantized), values: valuesOf(quantized) }
  }
}

function viaQ80(row: Uint8Array, x: Float32Array) {
  const quantized = quantizeQ80(x)
  return { result: dotQ80(row, quantized), values: valuesOf(quantized) }
}

function viaQ81(dot: (row: Uint8Array, x: ReturnType<typeof quantizeQ81>) => number) {
  return (row: Uint8Array, x: Float32Array) => {
    const quantized = quantizeQ81(x)
    return { result: dot(row, quantized), values: valuesOf(quantized) }
  }
}

const plain = (dot: (row: Uint8Array, x: Float32Array) => number) => (row: Uint8Array, x: Float32Array) => ({
  result: dot(row, x),
  values: x,
})

/** `scale` is how many times the parts of a weight may exceed the weight: where there are mins, two products can nearly cancel. */
const dots = [
  { name: 'F32', row: new Uint8Array(row(408).buffer), dot: plain(dotF32), scale: 1 },
  { name: 'F16', row: golden('F16'), dot: plain(dotF16), scale: 1 },
  { name: 'BF16', row: golden('BF16'), dot: plain(dotBF16), scale: 1 },
  { name: 'Q4_0', row: golden('Q4_0'), dot: viaQ81(dotQ40), scale: 1 },
  { name: 'Q4_1', row: golden('Q4_1'), dot: viaQ81(dotQ41), scale: 4 },
  { name: 'Q5_0', row: golden('Q5_0'), dot: viaQ81(dotQ50), scale: 1 },
  { name: 'Q5_1', row: golden('Q5_1'), dot: viaQ81(dotQ51), scale: 4 },
  { name: 'Q8_0', row: golden('Q8_0'), dot: viaQ80, scale: 1 },
  { name: 'Q2_K', row: golden('Q2_K'), dot: viaQ8K(dotQ2K), scale: 4 },
  { name: 'Q3_K', row: golden('Q3_K'), dot: viaQ8K(dotQ3K), scale: 1 },
  { name: 'Q4_K', row: golden('Q4_K'), dot: viaQ8K(dotQ4K), scale: 4 },
  { name: 'Q5_K', row: golden('Q5_K'), dot: viaQ8K(dotQ5K), scale: 4 },
  { name: 'Q6_K', row: golden('Q6_K'), dot: viaQ8K(dotQ6K), scale: 1 },
  { name: 'IQ4_NL', row: golden('IQ4_NL'), dot: viaQ81(dotIQ4NL), scale: 1 },
  { name: 'IQ4_XS', row: golden('IQ4_XS'), dot: viaQ8K(dotIQ4XS), scale: 1 },
]

/** Repeatable values in [-1, 1). */
function row(columns: number): Float32Array {
  return Float32Array.from({ length: columns }, (_, i) => (Math.imul(i + 1, 0x9e3779b9) >>> 8) / 2 ** 23 - 1)
}

for (const { name, row: bytes, dot, scale } of dots) {
  const { type, dequantize } = formats.get(name)!
  const weights = new Float32Array((bytes.length / type.blockBytes) * type.blockWeights)
  dequantize(bytes, weights)

  test(`${name}: the dot product is float64's but for float32 rounding`, () => {
    const { result, values } = dot(bytes, row(weights.length))
    const exact = weights.reduce((sum, weight, i) => sum + weight * values[i]!, 0)
    const magnitude = weights.reduce((sum, weight, i) => sum + Math.abs(weight * values[i]!), 0)
    // Each sum of the chain rounds once, and so does each of its terms: 2^-24 of the magnitudes per step.
    const steps = weights.length / Math.max(type.blockWeights, 4) + 4
    expect(Math.abs(result - exact)).toBeLessThanOrEqual(steps * scale * 2 ** -24 * magnitude)
  })

  test(`${name}: a NaN among the activations makes the dot product NaN`, () => {
    const x = row(weights.length)
    x[5] = Number.NaN
    expect(dot(bytes, x).result).toBeNaN()
  })
}

test('Q8_K and Q8_0 dot products start from +0', () => {
  expect(dotQ4K(new Uint8Array(144), quantizeQ8K(new Float32Array(256)))).toBe(0)
  expect(dotQ80(new Uint8Array(34), quantizeQ80(new Float32Array(32)))).toBe(0)
})
