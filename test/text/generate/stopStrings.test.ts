import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
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

test('the stop string that was found is told: of several complete at one place, the longest', () => {
  const watcher = new StopStrings(['b', 'ab', 'x'])
  watcher.push('a')
  expect(watcher.found).toBeUndefined()
  watcher.push('bx')
  expect(watcher.found).toBe('ab')
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

describe('a stop string with a control token', () => {
  /** A piece in brackets is a control token. */
  const read = (stops: string[], ...pieces: string[]) => {
    const watcher = new StopStrings(stops)
    const texts = pieces.map((piece) => (/^<.*>$/.test(piece) ? watcher.pushControl(piece) : watcher.push(piece)))
    return { text: texts.join('') + watcher.end(), stopped: watcher.stopped }
  }

  test('ends at the token', () => {
    expect(read(['<|im_start|>'], 'a', '<|im_start|>', 'b')).toEqual({ text: 'a', stopped: true })
  })

  test('ends where a text follows the token', () => {
    expect(read(['<|im_start|>user'], 'a', '<|im_start|>', 'us', 'er')).toEqual({ text: 'a', stopped: true })
    expect(read(['<|im_start|>user'], 'a', '<|im_start|>', 'us', 'ual')).toEqual({ text: 'ausual', stopped: false })
  })

  test('ends where a text comes before the token, or tokens', () => {
    expect(read(['b<x>c'], 'ab', '<x>', 'c')).toEqual({ text: 'a', stopped: true })
    expect(read(['<x><y>'], 'a', '<x>', '<y>')).toEqual({ text: 'a', stopped: true })
    expect(read(['<x><y>'], 'a', '<x>', 'b', '<y>')).toEqual({ text: 'ab', stopped: false })
  })

  test('is found if it is written as text, too', () => {
    expect(read(['<x>'], 'a<', 'x', '>b')).toEqual({ text: 'a', stopped: true })
  })

  test('a part of the token is no stop string, and a token that none spells is nothing', () => {
    expect(read(['<x>y', 'x>'], 'a', '<x>', 'b')).toEqual({ text: 'ab', stopped: false })
    expect(read(['ab'], 'a', '<x>', 'b')).toEqual({ text: '', stopped: true })
  })
})
