// The pieces and bands that experts are read and repacked in.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { type ExpertPart, ExpertPieces } from '../../../dist/runtime/residency/expertPieces.js'
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

const parts: readonly ExpertPart[] = ['ffnGate', 'ffnUp', 'ffnDown']

test('an expert of Mixtral 8x7B in Q4_K_M: pieces of a megabyte, bands of an eighth to a sixth of one', () => {
  const { list } = new ExpertPieces(expertOf('Q4_K', 4096, 14336, 'Q6_K'), 2 ** 20)
  expect(list[0]).toEqual({ part: 'ffnGate', row: 0, rows: 448, band: 64 })
  expect(list[1]).toEqual({ part: 'ffnUp', row: 0, rows: 448, band: 64 })
  expect(list[2]).toEqual({ part: 'ffnGate', row: 448, rows: 448, band: 64 })
  expect(list[64]).toEqual({ part: 'ffnDown', row: 0, rows: 88, band: 8 })
  expect(list).toHaveLength(64 + Math.ceil(4096 / 88))
})

test('rows so long that a room holds more than thirty bands of another matrix, and matrices of fewer rows than are packed together', () => {
  const wide = new ExpertPieces(expertOf('F32', 256, 163840), 8 * 163840 * 4)
  for (const { rows, band } of wide.list) expect(Math.ceil(rows / band)).toBeLessThanOrEqual(30)
  const flat = expertOf('F32', 7, 64)
  expect(new ExpertPieces(flat, flat.ffnGate.bytes).list.filter(({ part }) => part === 'ffnDown')).toMatchObject([{ row: 0, rows: 7 }])
})

test('every row is in one piece, and every piece in whole groups of rows and at most thirty bands', () => {
  const sizes = fc.record({
    type: fc.constantFrom('F32', 'F16', 'Q8_0', 'Q6_K', 'Q4_K', 'Q2_K'),
    hidden: fc.integer({ min: 1, max: 24 }).map((n) => n * 256),
    ffn: fc.integer({ min: 1, max: 64 }).map((n) => n * 256),
    room: fc.integer({ min: 16, max: 1100 }).map((n) => n * 1024),
  })
  fc.assert(
    fc.property(sizes, ({ type, hidden, ffn, room }) => {
      const expert = expertOf(type, hidden, ffn)
      const widest = Math.max(...parts.map((part) => expert[part].bytes / expert[part].rows))
      const roomBytes = Math.max(room, 8 * widest) // as scratch.ts has it
      const pieces = new ExpertPieces(expert, roomBytes)
      for (const part of parts) {
        const { rows, bytes } = expert[part]
        const own = pieces.list.filter((piece) => piece.part === part)
        let next = 0
        for (const piece of own) {
          expect(piece.row).toBe(next)
          expect(piece.band % 8).toBe(0)
          expect(piece.rows * (bytes / rows)).toBeLessThanOrEqual(roomBytes)
          expect(Math.ceil(piece.rows / piece.band)).toBeLessThanOrEqual(30)
          next += piece.rows
          if (next < rows) expect(piece.rows % piece.band).toBe(0)
        }
        expect(next).toBe(rows)
        const [row, count] = [Math.floor(rows / 3), Math.ceil(rows / 2)]
        expect(pieces.with(part, row, count).map((place) => pieces.list[place])).toEqual(
          own.filter((piece) => piece.row < row + count && piece.row + piece.rows > row),
        )
      }
    }),
  )
})
