// The work of a tokenizer in steps: the same ids as at once, whoever works in between, and a pause often enough.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Steps } from '../../../dist/base/timeSlice.js'
import { stepsOf, Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { texts as randomTexts } from './randomTexts.js'
import { mistralMetadata } from './vocabularies.js'

const metadata = mistralMetadata()
const tokenizer = Tokenizer.fromGgufMetadata(metadata)
const other = Tokenizer.fromGgufMetadata(metadata)

/** Does works step by step, in turns. */
function inTurns<T>(works: readonly Steps<T>[]): T[] {
  const results: T[] = []
  const open = new Map(works.entries())
  while (open.size > 0) {
    for (const [i, work] of open) {
      const { done, value } = work.next()
      if (!done) continue
      results[i] = value
      open.delete(i)
    }
  }
  return results
}

/** The steps of a work. */
function stepsIn(work: Steps<unknown>): number {
  let steps = 0
  while (!work.next().done) steps++
  return steps
}

test('ids are the same in steps that take turns with those of other texts', () => {
  const long = fc.array(randomTexts, { minLength: 1, maxLength: 40 }).map((texts) => texts.join(''))
  fc.assert(
    fc.property(fc.array(fc.oneof(randomTexts, long), { minLength: 2, maxLength: 5 }), (texts) => {
      const steps = stepsOf(tokenizer)
      expect(inTurns(texts.map((text) => steps.encode(text)))).toEqual(texts.map((text) => other.encode(text)))
      expect(inTurns(texts.map((text) => steps.encodePrompt(text)))).toEqual(texts.map((text) => other.encodePrompt(text)))
      const options = { parseSpecial: true, continues: true, addBos: false }
      expect(inTurns(texts.map((text) => steps.encode(text, options)))).toEqual(texts.map((text) => other.encode(text, options)))
    }),
    { numRuns: 100 },
  )
})

test.each([
  ['words', 'Once upon a time there was a king. '],
  ['one word without an end', 'ab'],
  ['characters without tokens', '\u{1f9ff}\u{1f9fe}'],
  ['special tokens', '</s>'],
  ['special tokens between letters', 'a</s>'],
])('a text of %s has a pause for a few thousand characters', (_, part) => {
  const text = part.repeat(Math.ceil(200_000 / part.length))
  expect(stepsIn(stepsOf(tokenizer).encodePrompt(text))).toBeGreaterThan(200_000 / 4096)
  expect(stepsIn(stepsOf(tokenizer).encode(text))).toBeGreaterThan(200_000 / 4096)
})
