// Dequantization of every format against the golden blocks.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
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

describe.each([...formats])('%s', (name, { type, dequantize, notFinite }) => {
  const whole = name === 'F32' ? new Uint8Array(Float32Array.of(1, -2, 3e-40, 0).buffer) : golden(`${name}.bin`)
  const blocks = whole.slice(0, Math.min(whole.length, 3 * type.blockBytes))
  const allFinite = (bytes: Uint8Array) => {
    const out = new Float32Array((bytes.length / type.blockBytes) * type.blockWeights)
    dequantize(bytes, out)
    return out.every(Number.isFinite)
  }

  test('golden blocks are finite', () => {
    expect(notFinite(blocks)).toBe(0)
  })

  test('whatever byte is changed, weights that are not finite are counted, and no others', () => {
    let found = 0
    for (let at = 0; at < blocks.length; at++) {
      for (const byte of [0x00, 0x7c, 0x7f, 0xf0, 0xfc, 0xfd, 0xff]) {
        const changed = Uint8Array.of(0, ...blocks).subarray(1) // at an odd address
        changed[at] = byte
        if (at + 2 < changed.length) changed[at + 2] = byte // IQ1_M has its scale in several bytes
        const count = notFinite(changed)
        if (!allFinite(changed)) found++
        if (!allFinite(changed)) expect(count).toBeGreaterThan(0)
        else if (name !== 'MXFP4') expect(count).toBe(0) // whose quants may keep a scale near the end finite
      }
    }
    expect(found).toBeGreaterThan(0)
  })
})
