// Constraints that are looked ahead: the same language, and nothing of what is found out there is known to the
// constraint itself, neither work that was done nor work that was too much.

import { expect, test } from 'vitest'
import { WeightLoader } from '../../../dist/index.js'
import { Random } from '../../../dist/runtime/sampler/random.js'
import { Constraint } from '../../../dist/text/constraint/constraint.js'
import type { ConstraintSpec } from '../../../dist/text/constraint/language.js'
import { TokenTrie } from '../../../dist/text/constraint/tokenTrie.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { mistralMetadata } from '../tokenizer/vocabularies.js'
import { hardGrammar } from './hardGrammar.js'

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

test('a refusal in the turn of a token does not depend on walks ahead, whatever they have found', async () => {
  const small = await Tokenizer.load((await WeightLoader.fromGguf(demoPath())).metadata)
  const smallTrie = new TokenTrie(small)
  const ids = small.encode('happily ', { addBos: false, continues: true })
  const maskBehind = (constraint: Constraint) => {
    const state = constraint.start(false)
    for (const id of ids) state.accept(id)
    return state.mask()
  }
  const hard = () => new Constraint({ grammar: hardGrammar('happily ') }, smallTrie)
  const refusal = 'the grammar needs more than 500000 steps'
  const walked = hard()
  for (let tries = 0; tries < 10; tries++) expect(() => maskBehind(walked.ahead!)).toThrow('more than 50000 steps')
  expect(() => maskBehind(walked)).toThrow(refusal)
  const other = hard() // work that is done for texts is known: so walks ahead must not be among them
  expect(() => maskBehind(other)).toThrow(refusal)
  expect(() => maskBehind(other)).not.toThrow()
})
