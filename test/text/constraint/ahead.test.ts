// Constraints that are looked ahead: the same language, and nothing of what is found out there is known to the
// constraint itself, neither work that was done nor work that was too much.

import { describe, expect, test } from 'vitest'
import { Random } from '../../../dist/runtime/sampler/random.js'
import { Constraint, type ConstraintState } from '../../../dist/text/constraint/constraint.js'
import type { ConstraintSpec } from '../../../dist/text/constraint/language.js'
import { TokenTrie } from '../../../dist/text/constraint/tokenTrie.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mistralMetadata } from '../tokenizer/vocabularies.js'

const tokenizer = Tokenizer.fromGgufMetadata(mistralMetadata())
const trie = new TokenTrie(tokenizer)

const specs: readonly ConstraintSpec[] = [
  { json: true },
  { regex: '[A-Z][a-z]{1,30}( [a-z]+)*[.!]' },
  { grammar: 'root ::= item ("," item)*\nitem ::= [0-9]{1,3} | word | "(" root ")"\nword ::= [a-zé ]+' },
  { jsonSchema: { type: 'object', properties: { name: { enum: ['Sam', 'Tom'] }, n: { type: 'integer' } }, required: ['name', 'n'] } },
]

test.each(specs)('%j: masks and forced tokens are the same', (spec) => {
  const constraint = new Constraint(spec, trie)
  const random = new Random(3)
  const [own, ahead] = [constraint.start(true), constraint.ahead!.start(true)]
  for (let step = 0; step < 15 && !own.isComplete; step++) {
    expect(ahead.forced()).toEqual(own.forced())
    const mask = own.mask()
    expect(ahead.mask()).toEqual(mask)
    const ids = Array.from({ length: trie.vocabSize }, (_, id) => id).filter((id) => (mask[id >>> 5]! >>> (id & 31)) & 1)
    const id = ids[Math.floor(random.next() * ids.length)]!
    for (const state of [own, ahead]) state.accept(id)
  }
})

test('it is made once', () => {
  const constraint = new Constraint({ json: true }, trie)
  expect(constraint.ahead).toBe(constraint.ahead)
  expect(constraint.ahead).not.toBe(constraint)
})

test('there is none where making it is too much work', () => {
  const properties = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`property ${i}`, { type: 'string' }]))
  expect(new Constraint({ jsonSchema: { type: 'object', properties } }, trie).ahead).toBeUndefined()
})
