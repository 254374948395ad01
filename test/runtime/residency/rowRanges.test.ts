// The row ranges that experts are read in, and the bands that they are repacked in.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { type ExpertMatrix, ExpertRanges } from '../../../dist/runtime/residency/rowRanges.js'
import type { ExpertTensors, TensorSlice } from '../../../dist/runtime/weights/mixtralTensors.js'

const slice = (name: string, rows: number, columns: number): TensorSlice => {
  const type = ggmlTypeByName(name)!
  return { name, file: 0, offset: 0, type, rows, columns, bytes: (rows * columns * type.blockBytes) / type.blockWeights }
}

const expertOf = (type: string, hidden: number, ffn: number, downType = type): ExpertTensors => ({
  ffnGate: slice(type, ffn, hidden),
  ffnUp: slice(type, ffn, hidden),
  ffnDown: slice(downType, hidden, ffn),
})

const matrices: readonly ExpertMatrix[] = ['ffnGate', 'ffnUp', 'ffnDown']

test('an expert of Mixtral 8x7B in Q4_K_M: row ranges of a megabyte, bands of an eighth to a sixth of one', () => {
  const { list } = new ExpertRanges(expertOf('Q4_K', 4096, 14336, 'Q6_K'), 2 ** 20)
  expect(list[0]).toEqual({ matrix: 'ffnGate', row: 0, rows: 448, band: 64 })
  expect(list[1]).toEqual({ matrix: 'ffnUp', row: 0, rows: 448, band: 64 })
  expect(list[2]).toEqual({ matrix: 'ffnGate', row: 448, rows: 448, band: 64 })
  expect(list[64]).toEqual({ matrix: 'ffnDown', row: 0, rows: 88, band: 8 })
  expect(list).toHaveLength(64 + Math.ceil(4096 / 88))
})

test('rows so long that a buffer holds more than thirty bands of another matrix, and matrices of fewer rows than are packed together', () => {
  const wide = new ExpertRanges(expertOf('F32', 256, 163840), 8 * 163840 * 4)
  for (const { rows, band } of wide.list) expect(Math.ceil(rows / band)).toBeLessThanOrEqual(30)
  const flat = expertOf('F32', 7, 64)
  expect(new ExpertRanges(flat, flat.ffnGate.bytes).list.filter(({ matrix }) => matrix === 'ffnDown')).toMatchObject([{ row: 0, rows: 7 }])
})

test('every row is in one range, and every range in whole groups of rows and at most thirty bands', () => {
  const sizes = fc.record({
    type: fc.constantFrom('F32', 'F16', 'Q8_0', 'Q6_K', 'Q4_K', 'Q2_K'),
    hidden: fc.integer({ min: 1, max: 24 }).map((n) => n * 256),
    ffn: fc.integer({ min: 1, max: 64 }).map((n) => n * 256),
    buffer: fc.integer({ min: 16, max: 1100 }).map((n) => n * 1024),
  })
  fc.assert(
    fc.property(sizes, ({ type, hidden, ffn, buffer }) => {
      const expert = expertOf(type, hidden, ffn)
      const widest = Math.max(...matrices.map((matrix) => expert[matrix].bytes / expert[matrix].rows))
      const bufferBytes = Math.max(buffer, 8 * widest) // as in scratch.ts
      const ranges = new ExpertRanges(expert, bufferBytes)
      for (const matrix of matrices) {
        const { rows, bytes } = expert[matrix]
        const own = ranges.list.filter((range) => range.matrix === matrix)
        let next = 0
        for (const range of own) {
          expect(range.row).toBe(next)
          expect(range.band % 8).toBe(0)
          expect(range.rows * (bytes / rows)).toBeLessThanOrEqual(bufferBytes)
          expect(Math.ceil(range.rows / range.band)).toBeLessThanOrEqual(30)
          next += range.rows
          if (next < rows) expect(range.rows % range.band).toBe(0)
        }
        expect(next).toBe(rows)
        const [row, count] = [Math.floor(rows / 3), Math.ceil(rows / 2)]
        expect(ranges.covering(matrix, row, count).map((index) => ranges.list[index])).toEqual(
          own.filter((range) => range.row < row + count && range.row + range.rows > row),
        )
      }
    }),
  )
})
