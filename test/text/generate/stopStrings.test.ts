import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StopStrings } from '../../../dist/text/generate/stopStrings.js'

/** What a watcher lets through of a text that comes in pieces. */
function stream(stops: readonly string[], pieces: readonly string[]): { text: string; stopped: boolean } {
  const watcher = new StopStrings(stops)
  const text = pieces.map((piece) => watcher.push(piece)).join('') + watcher.end()
  return { text, stopped: watcher.stopped }
}

/** The definition: the shortest beginning of the text that ends with a stop string, without the longest such. */
function stopNaively(stops: readonly string[], text: string): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop))
    if (found.length > 0) return { text: text.slice(0, end - Math.max(...found.map((stop) => stop.length))), stopped: true }
  }
  return { text, stopped: false }
}

test('the text ends before the stop string', () => {
  expect(stream(['[INST]'], ['Hello [IN', 'ST] more'])).toEqual({ text: 'Hello ', stopped: true })
})

test('text that might begin a stop string is held back, and no more than that', () => {
  const watcher = new StopStrings(['abc', 'cd'])
  expect([watcher.push('xab'), watcher.push('y'), watcher.push('abcab'), watcher.push('z')]).toEqual(['x', 'aby', '', ''])
  expect(watcher.stopped).toBe(true)
})

test('held text comes out when nothing follows', () => {
  const watcher = new StopStrings(['</s>'])
  expect([watcher.push('a</'), watcher.end(), watcher.end()]).toEqual(['a', '</', ''])
})

test('without stop strings everything passes at once', () => {
  expect(new StopStrings([]).push('text')).toBe('text')
})

test('cuts of the text change nothing', () => {
  const unit = fc.constantFrom('a', 'b', 'c', '🙂')
  const text = fc.string({ unit, maxLength: 4 })
  const stops = fc.array(fc.string({ unit, minLength: 1, maxLength: 5 }), { maxLength: 4 })
  fc.assert(
    fc.property(stops, fc.array(text, { maxLength: 12 }), (chosen, pieces) => {
      expect(stream(chosen, pieces)).toEqual(stopNaively(chosen, pieces.join('')))
    }),
    { numRuns: 5000 },
  )
})

test('an empty stop string is refused', () => {
  expect(() => new StopStrings(['a', ''])).toThrow(
    expect.objectContaining({ code: 'OPTION', message: expect.stringMatching(/stop has ""/) }),
  )
})
