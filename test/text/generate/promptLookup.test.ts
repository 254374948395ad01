// Guesses from the text so far: what followed where it was the same, and how sure that is.

import { describe, expect, test } from 'vitest'
import { PromptLookup } from '../../../dist/text/generate/promptLookup.js'
import { RunPlaces } from '../../../dist/text/generate/runPlaces.js'

/** The guess after a prompt and an answer, read at once. */
function guessAfter(prompt: readonly number[], answer: readonly number[] = [], most = 4) {
  const lookup = new PromptLookup(prompt.length)
  const ids = [...prompt, ...answer]
  lookup.read(ids)
  return lookup.guess(ids, most)
}

const text = [10, 11, 12, 13, 14, 15, 16, 17]

describe('a guess', () => {
  test.each<[string, number[], number[], number[]]>([
    ['of a text without a repetition', text, [], []],
    ['behind two known tokens', text, [11, 12], [13, 14, 15, 16]],
    ['behind one', text, [20, 12], []],
    ['within the prompt', [...text, 12, 13], [], [14, 15, 16, 17]],
    ['goes on as long as the tokens come', text, [11, 12, 13, 14], [15, 16, 17, 11]],
    ['goes by the last occurrence', [1, 2, 3, 7, 1, 2, 3, 8], [1, 2, 3], [8, 1, 2, 3]],
    ['prefers the longer match', [5, 1, 2, 7, 6, 1, 2, 8], [5, 1, 2], [7, 6, 1, 2]],
    ['of a text that repeats itself repeats it', [1, 2, 3], [1, 2, 3, 1, 2, 3], [1, 2, 3, 1]],
    ['of one token again and again', [4], [4, 4, 4], [4, 4, 4, 4]],
    ['comes back behind another token', [...text, 30, 31], [10, 11, 12, 99, 14, 15], [16, 17, 30, 31]],
    ['within the answer', [1], [20, 21, 22, 23, 5, 20, 21], [22, 23, 5, 20]],
  ])('%s', (_, prompt, answer, guess) => {
    expect(guessAfter(prompt, answer).ids).toEqual(guess)
  })

  test('is the same, read token by token', () => {
    const ids = [...text, 3, 11, 12, 13, 9, 13, 14]
    const lookup = new PromptLookup(text.length)
    for (let length = 1; length <= ids.length; length++) lookup.read(ids.slice(0, length))
    expect(lookup.guess(ids, 4)).toEqual(guessAfter(text, ids.slice(text.length)))
  })

  test('is surer the longer the match', () => {
    const { chances } = guessAfter(text, [11, 12], 6)
    expect(chances).toEqual(chances.toSorted((a, b) => a - b))
    expect(chances[0]).toBeLessThan(0.5)
    expect(chances.at(-1)).toBeGreaterThan(0.65)
  })

  test('is surer after guesses that were right, less sure after wrong ones', () => {
    const lookup = new PromptLookup(text.length)
    const before = lookup.chance(2)
    const ids = [...text]
    for (let i = 0; i < 20; i++) {
      ids.push(10, 11, 50 + i)
      lookup.read(ids)
    }
    expect(lookup.chance(2)).toBeLessThan(before / 2)
    const long = new PromptLookup(400)
    const quoted = Array.from({ length: 400 }, (_, i) => 1000 + i)
    long.read([...quoted, ...quoted.slice(50, 200)])
    expect(long.chance(9)).toBeGreaterThan(0.95)
  })

  test('of a long prompt comes when all of it has been read', () => {
    const prompt = Array.from({ length: 10_000 }, (_, i) => i)
    const ids = [...prompt, 5000, 5001]
    const lookup = new PromptLookup(prompt.length)
    lookup.read(ids)
    expect(lookup.guess(ids, 2).ids).toEqual([])
    for (let i = 0; i < 3; i++) lookup.read(ids)
    expect(lookup.guess(ids, 2).ids).toEqual([5002, 5003])
  })

  test('is not deceived by ids that share a key', () => {
    const far = 2 ** 40
    expect(guessAfter([far, 1, 2, 3], [far + 2 ** 34, 1]).ids).toEqual([])
  })
})

describe('the places of runs', () => {
  const text = (tokens: number, kinds: number, seed = 7) => {
    let state = seed
    return Array.from({ length: tokens }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * kinds)
    })
  }

  test.each([
    [20_000, 32_000, 22], // no run comes again
    [20_000, 60, 22],
    [20_000, 20, 9], // of 20 tokens there are 400 runs of two, and 8000 of three
    [1000, 32_000, 33],
  ])('of %i tokens of %i kinds take at most %i bytes a token', (tokens, kinds, most) => {
    const lookup = new PromptLookup(tokens)
    const ids = text(tokens, kinds)
    for (let i = 0; i < tokens; i += 1000) lookup.read(ids)
    expect(lookup.bytes / tokens).toBeLessThanOrEqual(most)
    expect(lookup.bytes / tokens).toBeGreaterThan(1)
  })

  test('take nothing where nobody asks', () => {
    expect(new PromptLookup(100_000).bytes).toBe(0)
  })

  test.each([2, 3])('are the last ones of runs of %i tokens, and nearly none is lost', (length) => {
    let asked = 0
    let lost = 0
    for (const kinds of [3, 10, 50, 2000]) {
      const places = new RunPlaces(length)
      const last = new Map<string, number>()
      const ids = text(5000, kinds, kinds)
      for (let end = 1; end <= ids.length; end++) {
        const key = ids.slice(Math.max(0, end - length), end).join()
        const found = places.find(ids, end)
        const expected = end < length ? 0 : (last.get(key) ?? 0)
        if (found !== expected) expect(found).toBe(0)
        if (expected > 0) asked++
        if (found !== expected) lost++
        places.note(ids, end)
        last.set(key, end)
      }
    }
    expect(asked).toBeGreaterThan(5000)
    expect(lost).toBeLessThan(asked / 100)
  })
})
