// Constraints over the tokens of the real Mistral vocabulary: masks, end tokens, the space at the beginning, forced
// spans, copies.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Random } from '../../../dist/runtime/sampler/random.js'
import { Constraint, type ConstraintState } from '../../../dist/text/constraint/constraint.js'
import { accepts, type ConstraintSpec, compileLanguage } from '../../../dist/text/constraint/language.js'
import { TokenTrie } from '../../../dist/text/constraint/tokenTrie.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { metadataOf, mistralMetadata, normal } from '../tokenizer/vocabularies.js'

const tokenizer = Tokenizer.fromGgufMetadata(mistralMetadata())
const trie = new TokenTrie(tokenizer)
const encode = (text: string) => tokenizer.encode(text, { addBos: false })

function idsIn(mask: Uint32Array): number[] {
  return Array.from({ length: trie.vocabSize }, (_, id) => id).filter((id) => (mask[id >>> 5]! >>> (id & 31)) & 1)
}

function textTaken(spec: ConstraintSpec, text: string): ConstraintState {
  const state = new Constraint(spec, trie).start(true)
  for (const id of encode(text)) state.accept(id)
  return state
}

const specs: readonly ConstraintSpec[] = [
  { json: true },
  { regex: '[A-Z][a-z]{1,30}( [a-z]+)*[.!]' },
  { regex: '.{0,40}é?' },
  { grammar: 'root ::= item ("," item)*\nitem ::= [0-9]{1,3} | word | "(" root ")"\nword ::= [a-zé ]+' },
  { grammar: 'root ::= s\ns ::= [a-c] s s | [a-z] s | " "? "x"' },
  {
    jsonSchema: {
      type: 'object',
      properties: {
        a: { type: 'string', maxLength: 30 },
        n: { type: 'number', minimum: -5, maximum: 500 },
        p: { pattern: '^[a-z]+ [a-z]+$', maxLength: 40 },
      },
    },
  },
]

test('a mask has exactly the tokens that are allowed one by one', () => {
  const random = new Random(7)
  for (const spec of specs) {
    const state = new Constraint(spec, trie).start(true)
    for (let step = 0; step < 12; step++) {
      const allowed = idsIn(state.mask())
      expect(allowed, JSON.stringify(spec)).toEqual(Array.from({ length: trie.vocabSize }, (_, id) => id).filter((id) => state.allows(id)))
      const next = allowed.filter((id) => !tokenizer.endIds.has(id))
      if (next.length === 0) break
      state.accept(next[Math.floor(random.next() * next.length)]!)
    }
  }
})

test('a text that the tokens spell is one that the language accepts', () => {
  for (const spec of specs) {
    const language = compileLanguage(spec)
    for (const text of [
      '{"a": [1, "é", {"b": null}]}',
      'Hello world.',
      'abc, def',
      '12,(3,ab cé)',
      'abx',
      'a xx',
      '{"a":"b","n":12.5,"p":"ab cd"}',
    ]) {
      const state = new Constraint(spec, trie).start(true)
      const taken = encode(text).every((id) => {
        if (!state.allows(id)) return false
        state.accept(id)
        return true
      })
      expect(taken && state.mayEnd, `${text} under ${JSON.stringify(spec)}`).toBe(accepts(language, text))
    }
  }
})

describe('end tokens', () => {
  test('are allowed where the text may end, and alone where it must', () => {
    const state = textTaken({ regex: 'ab?' }, 'a')
    expect([state.mayEnd, state.isComplete, state.allows(tokenizer.eosId)]).toEqual([true, false, true])
    state.accept(encode('ab').length === 1 ? 3 + 'b'.charCodeAt(0) : encode('b')[0]!)
    expect([state.mayEnd, state.isComplete, idsIn(state.mask())]).toEqual([true, true, [...tokenizer.endIds]])
  })

  test('are not allowed before, and nothing but them is allowed after one', () => {
    const state = textTaken({ regex: 'a+' }, 'a')
    expect(textTaken({ regex: 'ab' }, 'a').allows(tokenizer.eosId)).toBe(false)
    state.accept(tokenizer.eosId)
    expect([state.isComplete, idsIn(state.mask()), state.forced()]).toEqual([true, [...tokenizer.endIds], []])
    expect(() => state.accept(encode('a')[0]!)).toThrow('not allowed here')
  })
})

test('control and unknown tokens are in no mask', () => {
  const mask = new Constraint({ regex: '(.|\\n)*' }, trie).start(false).mask()
  expect([0, 1].map((id) => (mask[0]! >>> id) & 1)).toEqual([0, 0])
  const texts = Array.from({ length: trie.vocabSize }, (_, id) => id).filter((id) => tokenizer.token(id).type === 'normal')
  const dotted = texts.filter((id) => !/[\r\u2028\u2029]/.test(tokenizer.token(id).piece))
  expect(idsIn(mask).filter((id) => tokenizer.token(id).type === 'normal')).toEqual(dotted)
})

test('a token that is not allowed is refused by name and changes nothing', () => {
  const state = textTaken({ regex: 'abc' }, 'ab')
  expect(() => state.accept(encode('x')[0]!)).toThrow(
    expect.objectContaining({ code: 'OPTION', message: expect.stringContaining(`token ${encode('x')[0]} is not allowed here`) }),
  )
  expect(state.allows(3 + 'c'.charCodeAt(0))).toBe(true)
})

describe('the space at the beginning', () => {
  const [brace] = encode('{') // with the space that encoding puts before a text
  const bare = tokenizer.encode('{', { addBos: false, continues: true })[0]!

  test('is not the text of an answer, with it or without', () => {
    const state = new Constraint({ json: true }, trie).start(true)
    expect([state.allows(brace!), state.allows(bare)]).toEqual([true, true])
    expect(tokenizer.token(brace!).piece).toBe('▁{')
  })

  test('is text where a text continues', () => {
    const state = new Constraint({ json: true }, trie).start(false)
    expect([state.allows(brace!), state.allows(bare)]).toEqual([false, true])
  })

  test('is dropped once: a second one is text, and so is one in a byte token', () => {
    const space = Array.from({ length: trie.vocabSize }, (_, id) => id).find((id) => tokenizer.token(id).piece === '▁')!
    const state = new Constraint({ regex: 'a' }, trie).start(true)
    expect([state.allows(space), state.allows(3 + 0x20)]).toEqual([true, false])
    state.accept(space)
    expect([state.allows(space), state.allows(3 + 'a'.charCodeAt(0))]).toEqual([false, true])
  })
})

describe('forced spans', () => {
  const jsonSchema = {
    type: 'object',
    properties: { temperature: { const: 'warm – très' }, unit: { enum: ['celsius', 'fahrenheit'] } },
    required: ['temperature', 'unit'],
    additionalProperties: false,
  }

  test('are the tokens of the tokenizer, up to where the text is open again', () => {
    const state = new Constraint({ jsonSchema, spacing: 'spaced' }, trie).start(true)
    const ids = state.forced()
    const whole = encode('{"temperature": "warm – très", "unit": "celsius"}')
    expect(ids).toEqual(whole.slice(0, ids.length))
    expect(tokenizer.decode(ids)).toBe('{"temperature": "warm – très", "unit": "')
    for (const id of ids) state.accept(id)
    expect(state.forced()).toEqual([])
  })

  test('leave out a last token that further text could make longer', () => {
    const state = new Constraint({ jsonSchema: { type: 'string' } }, trie).start(true)
    expect(state.forced()).toEqual([]) // a quote, which may be part of `▁"T`
  })

  test('reach to the end where nothing may follow', () => {
    const state = textTaken({ regex: 'ab|cdefgh' }, 'c')
    const ids = state.forced()
    expect(tokenizer.decode(ids, { continues: true })).toBe('defgh')
    for (const id of ids) state.accept(id)
    expect(state.isComplete).toBe(true)
  })

  test('are none where the text may end', () => {
    expect(textTaken({ regex: 'a(bc)?' }, 'a').forced()).toEqual([])
  })

  test('come in parts where they are long', () => {
    const state = new Constraint({ regex: 'a{3000}' }, trie).start(true)
    let length = 0
    for (let ids = state.forced(); ids.length > 0; ids = state.forced()) {
      for (const id of ids) state.accept(id)
      length += ids.length
    }
    expect(length).toBeGreaterThan(100)
  })
})

test('copies go their own ways', () => {
  const state = textTaken({ regex: 'a(b|c)d' }, 'a')
  const fork = state.clone()
  fork.accept(3 + 'b'.charCodeAt(0))
  expect([state.allows(3 + 'c'.charCodeAt(0)), fork.allows(3 + 'c'.charCodeAt(0)), fork.allows(3 + 'd'.charCodeAt(0))]).toEqual([
    true,
    false,
    true,
  ])
})

test('a mask is written into the words given', () => {
  const state = new Constraint({ json: true }, trie).start(true)
  const words = new Uint32Array(Math.ceil(trie.vocabSize / 32)).fill(0xffffffff)
  expect(state.mask(words)).toBe(words)
  expect(words).toEqual(state.mask())
})

test('a character between tokens: bytes may come one by one, in any cut', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('é', '日', '😀', 'a', '"', '\n'), maxLength: 8 }), (text) => {
      const state = new Constraint({ jsonSchema: { type: 'string' } }, trie).start(false)
      for (const byte of new TextEncoder().encode(JSON.stringify(text))) state.accept(3 + byte)
      expect(state.isComplete).toBe(true)
    }),
    { numRuns: 50 },
  )
})

describe('tokens that a grammar names', () => {
  const small = new TokenTrie(Tokenizer.fromGgufMetadata(metadataOf([['<think>', 3, 0], ['</think>', 3, 0], ...normal('a', 'b', 'ab')])))
  const [think, end, a, b, ab] = [259, 260, 261, 262, 263] as const
  const allowed = (state: ConstraintState) => [think, end, a, b, ab].filter((id) => state.allows(id))

  test('come by id or text, control tokens too', () => {
    const state = new Constraint({ grammar: 'root ::= <think> [ab]+ <[260]> "a"' }, small).start(true)
    expect(allowed(state)).toEqual([think])
    state.accept(think)
    expect(allowed(state)).toEqual([a, b, ab])
    state.accept(ab)
    expect(allowed(state)).toEqual([end, a, b, ab])
    state.accept(end)
    expect(allowed(state)).toEqual([a])
    expect((state.mask()[261 >>> 5]! >>> (261 & 31)) & 1).toBe(1)
  })

  test('are all text tokens but one with an exclamation mark', () => {
    const state = new Constraint({ grammar: 'root ::= !<[262]>* <[260]>' }, small).start(true)
    expect(allowed(state)).toEqual([end, a, ab])
    expect([state.allows(0), state.allows(1), state.allows(2)]).toEqual([false, false, false])
  })

  test.each([
    ['root ::= <nope>', 'the token <nope>, which is more than one token'],
    ['root ::= <[9999]>', 'the token 9999, expected an id below 264'],
  ])('%s is refused', (grammar, message) => {
    expect(() => new Constraint({ grammar }, small)).toThrow(
      expect.objectContaining({ code: 'OPTION', message: expect.stringContaining(message) }),
    )
  })
})

test('a vocabulary that cannot spell what comes next is an error that says so', () => {
  const metadata = metadataOf(normal('a', 'b'))
  const types = metadata.get('tokenizer.ggml.token_type') as number[]
  metadata.set(
    'tokenizer.ggml.token_type',
    types.map((type) => (type === 6 ? 5 : type)),
  )
  const state = new Constraint({ regex: 'ac' }, new TokenTrie(Tokenizer.fromGgufMetadata(metadata))).start(false)
  state.accept(259)
  expect(() => state.mask()).toThrow(expect.objectContaining({ code: 'TOKENIZER' }))
})
