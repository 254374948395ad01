// Repacking at load time: the same bytes from both builds and from any split of the rows, and a count of values that
// are not finite.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type BlockFormat, blockFormats, randomBlocks, setSplitHalf } from './blockFormats.js'
import { PackedMatrix } from './packedMatrix.js'
import { RandomValues, scaleKinds } from './randomValues.js'
import { describeBuilds, TestBank, testBothBuilds } from './testBank.js'

const notFiniteHalves = [0x7c00, 0xfc00, 0x7c01, 0x7e00, 0xffff]
const notFiniteBF16s = [0x7f80, 0xff80, 0x7f81, 0x7fc0, 0xffff]

/** Every place in the blocks whose value must be finite, and a way to spoil it. */
function spoilers(format: BlockFormat, bytes: Uint8Array): ((random: RandomValues) => void)[] {
  const view = new DataView(bytes.buffer)
  const spoil: ((random: RandomValues) => void)[] = []
  for (let block = 0; block < bytes.length; block += format.blockBytes) {
    for (const offset of format.halfOffsets) {
      spoil.push((random) => view.setUint16(block + offset, notFiniteHalves[random.below(notFiniteHalves.length)]!, true))
    }
    if (format.packing.format === 'IQ1_M') {
      spoil.push((random) => setSplitHalf(view, block, notFiniteHalves[random.below(notFiniteHalves.length)]!))
    }
    if (format.packing.format === 'MXFP4') spoil.push((random) => view.setUint8(block, 253 + random.below(3)))
    if (format.packing.format === 'BF16') {
      spoil.push((random) => view.setUint16(block, notFiniteBF16s[random.below(notFiniteBF16s.length)]!, true))
    }
    if (format.packing.format === 'F32') {
      spoil.push((random) =>
        view.setFloat32(block, [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY][random.below(3)]!, true),
      )
    }
  }
  return spoil
}

const formatsByName = blockFormats.map((format) => [format.name, format] as const)

describeBuilds((build) => {
  const bank = new TestBank(build)

  test.each(formatsByName)('%s: returns how many scales (or weights) are not finite', (_, format) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.constantFrom(...format.blockCounts), fc.nat(), (rows, blocks, seed) => {
        const random = new RandomValues(seed)
        const bytes = randomBlocks(format, rows * blocks, 'mixed', random)
        const chosen = spoilers(format, bytes).filter(() => random.below(3) === 0)
        for (const spoil of chosen) spoil(random)
        expect(new PackedMatrix(bank.clear(), format, bytes, rows).notFinite).toBe(chosen.length)
      }),
      { numRuns: 60, seed: 1 },
    )
  })

  test.each(formatsByName)('%s: rows in pieces, cut at multiples of eight, give the bytes of all at once', (_, format) => {
    const random = new RandomValues(2)
    const blocks = 2
    const bytes = randomBlocks(format, 23 * blocks, 'mixed', random)
    const rowBytes = blocks * format.blockBytes
    const whole = packed(bank, format, bytes, 23)
    const pieces = [0, 8, 16].map((row, i, cuts) => {
      const end = cuts[i + 1] ?? 23
      return packed(bank, format, bytes.slice(row * rowBytes, end * rowBytes), end - row)
    })
    expect(Buffer.concat(pieces).equals(whole)).toBe(true)
  })
})

function packed(bank: TestBank, format: BlockFormat, bytes: Uint8Array, rows: number): Uint8Array {
  return bank.bytes(new PackedMatrix(bank.clear(), format, bytes, rows).region)
}

for (const [name, format] of formatsByName) {
  testBothBuilds(`packed ${name}`, (bank) => {
    const random = new RandomValues(3)
    const matrices = scaleKinds.flatMap((kind) => format.blockCounts.map((blocks) => ({ kind, blocks, rows: 1 + random.below(9) })))
    return Buffer.concat(
      matrices.map(({ kind, blocks, rows }) => packed(bank, format, randomBlocks(format, rows * blocks, kind, random), rows)),
    )
  })
}
