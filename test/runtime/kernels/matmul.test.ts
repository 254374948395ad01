// Matrix kernels against the oracles of src/format/quants, bit for bit, over every format and both builds. Each build
// multiplies what its own kernels have packed and quantized; as each has the oracle's bits, they have each other's.

import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { placeActivation } from './activationRow.js'
import { expectSameBits } from './bits.js'
import { type BlockFormat, blockFormats, randomBlocks } from './blockFormats.js'
import { columnsOf, expectedProduct, PackedMatrix } from './packedMatrix.js'
import { RandomValues, type ScaleKind, scaleKinds } from './randomValues.js'
import { describeBuilds, type Region, TestBank } from './testBank.js'

const rowCounts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 64]

/** Tokens at the edges of what activations can be. */
const edgeTokens: Readonly<Record<string, (columns: number, random: RandomValues) => Float32Array>> = {
  zeros: (columns) => new Float32Array(columns),
  'all the same': (columns) => new Float32Array(columns).fill(-3),
  'all largest, of either sign': (columns, random) => new Float32Array(columns).map(() => (random.below(2) ? 5 : -5)),
  'any magnitude': (columns, random) => random.anyFloats(columns),
  'too small for a reciprocal': (columns, random) => random.floats(columns, 1e-39),
  'a NaN': (columns, random) => withOne(random.floats(columns), Number.NaN, random),
  infinity: (columns, random) => withOne(random.floats(columns), Number.POSITIVE_INFINITY, random),
  'minus infinity': (columns, random) => withOne(random.floats(columns), Number.NEGATIVE_INFINITY, random),
}

function withOne(x: Float32Array, value: number, random: RandomValues): Float32Array {
  x[random.below(x.length)] = value
  return x
}

function expectOracle(bank: TestBank, format: BlockFormat, bytes: Uint8Array, rows: number, x: Float32Array, where: string): void {
  bank.clear()
  const matrix = new PackedMatrix(bank, format, bytes, rows)
  const found = matrix.timesOne(placeActivation(bank, format.packing.activation, x))
  expectSameBits(found, expectedProduct(format, bytes, rows, x), `${where}, ${rows} rows of ${matrix.blocks} blocks`)
}

describeBuilds((build) => {
  const bank = new TestBank(build)

  describe.each(blockFormats.map((format) => [format.name, format] as const))('%s', (_, format) => {
    test.each(scaleKinds)('x1 is the oracle for any count of rows and blocks: %s scales', (kind) => {
      const random = new RandomValues(1)
      for (const blocks of format.blockCounts) {
        for (const rows of rowCounts) {
          const bytes = randomBlocks(format, rows * blocks, kind, random)
          expectOracle(bank, format, bytes, rows, random.floats(columnsOf(format, blocks)), kind)
        }
      }
    })

    test.each(Object.keys(edgeTokens))('x1 is the oracle for a token of %s', (edge) => {
      const random = new RandomValues(2)
      for (const blocks of format.blockCounts) {
        const bytes = randomBlocks(format, 9 * blocks, 'normal', random)
        expectOracle(bank, format, bytes, 9, edgeTokens[edge]!(columnsOf(format, blocks), random), edge)
      }
    })

    test.each([0x00, 0x7f, 0x80, 0xff])(
      'x1 is the oracle where sums are largest, and the others are x1: every byte of the weights is %i',
      (fill) => {
        const random = new RandomValues(3)
        for (const edge of ['all the same', 'all largest, of either sign'] as const) {
          const bytes = randomBlocks(format, 18, 'normal', random, fill)
          expectOracle(bank, format, bytes, 9, edgeTokens[edge]!(columnsOf(format, 2), random), edge)
          const matrix = new PackedMatrix(bank, format, bytes, 9)
          const x = placeActivation(bank, format.packing.activation, edgeTokens[edge]!(columnsOf(format, 2), random))
          const one = matrix.timesOne(x)
          for (const found of [...matrix.timesFour([x, x, x, x], true), ...(matrix.timesTwo(x, x) ?? [])]) expectSameBits(found, one, edge)
        }
      },
    )

    const goldens = new URL(`../../golden/blocks/${format.packing.format}.bin`, import.meta.url)
    if (existsSync(goldens)) {
      test('x1 is the oracle on the golden blocks, as one row, some and many', () => {
        const bytes = new Uint8Array(readFileSync(goldens))
        const blocks = bytes.length / format.blockBytes
        for (const rows of [1, 2, 4, 8, 11].filter((count) => blocks % count === 0)) {
          const x = new RandomValues(4).floats(columnsOf(format, blocks / rows))
          expectOracle(bank, format, bytes, rows, x, 'goldens')
        }
      })
    }

    test('x1 gives the same bits for any range of groups as for all of them', () => {
      const random = new RandomValues(5)
      bank.clear()
      const matrix = new PackedMatrix(bank, format, randomBlocks(format, 88 * 2, 'normal', random), 88)
      const x = placeActivation(bank, format.packing.activation, random.floats(columnsOf(format, 2)))
      const whole = matrix.timesOne(x)
      fc.assert(
        fc.property(fc.nat(10), fc.integer({ min: 1, max: 22 }), (pair, wanted) => {
          const first = 2 * pair
          const count = Math.min(wanted, matrix.groups - first)
          expectSameBits(
            matrix.timesOne(x, first, count),
            whole.subarray(first * 4, (first + count) * 4),
            `groups ${first} and ${count - 1} more`,
          )
        }),
        { numRuns: 60, seed: 5 },
      )
    })

    test('x4, tall or not, and x2 are x1 for each token, for any matrix and tokens of every kind', () => {
      const kinds = fc.constantFrom<ScaleKind>(...scaleKinds)
      const edges = fc.constantFrom('random', 'random', ...Object.keys(edgeTokens))
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 40 }),
          fc.constantFrom(...format.blockCounts),
          kinds,
          fc.tuple(edges, edges, edges, edges),
          fc.nat(),
          (rows, blocks, kind, tokens, seed) => {
            bank.clear()
            const random = new RandomValues(seed)
            const matrix = new PackedMatrix(bank, format, randomBlocks(format, rows * blocks, kind, random), rows)
            const x = tokens.map((token) => {
              const make = edgeTokens[token] ?? ((columns: number) => random.floats(columns))
              return placeActivation(bank, format.packing.activation, make(columnsOf(format, blocks), random))
            }) as [Region, Region, Region, Region]
            const four = matrix.timesFour(x)
            const tall = matrix.timesFour(x, true)
            const two = matrix.timesTwo(x[0], x[1])
            for (const [token, row] of x.entries()) {
              const one = matrix.timesOne(row)
              expectSameBits(four[token]!, one, `token ${token}`)
              expectSameBits(tall[token]!, one, `token ${token}, tall`)
              if (two && token < 2) expectSameBits(two[token]!, one, `token ${token} of two`)
            }
          },
        ),
        { numRuns: 60, seed: 6 },
      )
    })

    test('rows beyond the last come out as zeros', () => {
      const random = new RandomValues(7)
      bank.clear()
      const matrix = new PackedMatrix(bank, format, randomBlocks(format, 5 * 2, 'normal', random), 5)
      const found = matrix.timesOne(placeActivation(bank, format.packing.activation, random.floats(columnsOf(format, 2))))
      expect(Array.from(found.subarray(5), Math.abs)).toEqual([0, 0, 0])
    })
  })
})
