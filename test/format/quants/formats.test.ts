// Dequantization of every format against the golden blocks.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { formats } from '../../../dist/format/quants/formats.js'

const golden = (file: string) => new Uint8Array(readFileSync(new URL(`../../golden/blocks/${file}`, import.meta.url)))

for (const [name, { type, dequantize }] of formats) {
  test(`${name} stands under its own type`, () => {
    expect(type.name).toBe(name)
  })

  if (name === 'F32') continue // has no golden blocks: see below
  test(`${name} dequantizes to the golden values bit for bit, at any alignment`, () => {
    const blocks = golden(`${name}.bin`)
    const values = golden(`${name}.f32`)
    const shifted = new Uint8Array(blocks.length + 1).subarray(1)
    shifted.set(blocks)
    const out = new Float32Array((blocks.length / type.blockBytes) * type.blockWeights)
    dequantize(shifted, out)
    expect(Buffer.compare(new Uint8Array(out.buffer), values)).toBe(0)
  })
}

test('F32 passes its bits through', () => {
  const values = Float32Array.of(1, -0, 1e-45, Number.NaN, Number.NEGATIVE_INFINITY)
  const out = new Float32Array(5)
  formats.get('F32')!.dequantize(new Uint8Array(values.buffer), out)
  expect(out).toEqual(values)
})
