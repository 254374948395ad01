import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Spans } from '../../dist/registry/transfer/spans.js'

const place = fc.integer({ min: 0, max: 40 })

test('spans know which bytes are there, in whatever order they came', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(place, place)), place, place, fc.integer({ min: 1, max: 10 }), (added, a, b, most) => {
      const spans = new Spans()
      const there = new Set<number>()
      for (const [start, end] of added) {
        spans.add(start, end)
        for (let byte = start; byte < end; byte++) there.add(byte)
      }
      expect(spans.bytes).toBe(there.size)
      const atOnce = new Spans(added.map(([start, end]) => ({ start, end })))
      expect([atOnce.bytes, atOnce.count, atOnce.gaps(0, 50)]).toEqual([spans.bytes, spans.count, spans.gaps(0, 50)])
      let prefix = 0
      while (there.has(prefix)) prefix++
      expect(spans.prefix).toBe(prefix)
      const [from, to] = [Math.min(a, b), Math.max(a, b)]
      const missing: number[] = []
      for (const { start, end } of spans.gaps(from, to, most)) {
        expect(end - start).toBeLessThanOrEqual(most)
        for (let byte = start; byte < end; byte++) missing.push(byte)
      }
      expect(missing).toEqual(Array.from({ length: to - from }, (_, n) => from + n).filter((byte) => !there.has(byte)))
    }),
    { seed: 5, numRuns: 500 },
  )
})
