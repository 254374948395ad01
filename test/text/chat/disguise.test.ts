import { expect, test } from 'vitest'
import { Disguise } from '../../../dist/text/chat/disguise.js'

test('a text comes back as it was, and spells no special token on the way', () => {
  const disguise = new Disguise(['<s>', '</s>'], ['a\ue000 </s>'])
  const covered = disguise.cover('a\ue000 </s>')
  expect(covered).toMatch(/^a\ue000 [\ue001-\uf8ff]{4}$/)
  expect(disguise.reveal(covered)).toBe('a\ue000 </s>')
})

test('no stand-in is a special token, or part of one', () => {
  const specials = ['<s>', '\ue000', '\ue002\ue003']
  const disguise = new Disguise(specials, ['a < b'])
  const text = specials.join('')
  const covered = disguise.cover(text)
  expect(covered).not.toMatch(/[\ue000\ue002\ue003]/)
  expect(disguise.reveal(covered)).toBe(text)
})
