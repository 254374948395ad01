// Guesses from the text so far: what followed where it was the same, and how sure that is.

import { describe, expect, test } from 'vitest'
import { PromptLookup } from '../../../dist/text/generate/promptLookup.js'

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
