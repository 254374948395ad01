// What answers must be: JSON Schemas, GBNF grammars and regular expressions, compiled for a vocabulary and walked a few
// tokens, always along what the mask allows.

import { setImmediate as turn } from 'node:timers/promises'
import { Constraint } from '../../../dist/text/constraint/constraint.js'
import { TokenTrie } from '../../../dist/text/constraint/tokenTrie.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mutateJsonText, mutateText } from '../mutations.mjs'
import { vocabularyMetadata } from '../tinyModel.mjs'

const trie = new TokenTrie(Tokenizer.fromGgufMetadata(new Map(vocabularyMetadata().map(([key, , value]) => [key, value]))))
const TOKENS = 6

/**
 * Walks along the first allowed tokens; which ones, the input decides. The event loop turns between calls, since each
 * of them has a budget of its own.
 */
async function walk(spec, bytes) {
  const state = new Constraint(spec, trie).start(true)
  for (let n = 0; n < TOKENS && !state.isComplete; n++) {
    await turn()
    const mask = state.mask()
    const allowed = []
    for (let id = 0; id < trie.vocabSize; id++) if (mask[id >>> 5] & (1 << (id & 31))) allowed.push(id)
    const id = allowed[(bytes[n % bytes.length] ?? 0) % allowed.length]
    await turn()
    if (!state.allows(id)) throw new Error(`the mask has token ${id}, which is not allowed`)
    await turn()
    state.accept(id)
    await turn()
    state.forced()
  }
}

export const schemas = [
  {
    type: 'object',
    properties: { a: { type: 'string', minLength: 1, pattern: '^[a-c]+$' }, b: { type: 'integer', minimum: 0 } },
    required: ['a'],
  },
  { type: 'array', items: { enum: ['x', 1, null] }, minItems: 1, maxItems: 3, uniqueItems: true },
  { $defs: { t: { type: 'object', properties: { next: { $ref: '#/$defs/t' } } } }, $ref: '#/$defs/t' },
  { anyOf: [{ type: 'number', multipleOf: 0.5 }, { const: { a: [1, 2] } }], not: { const: 5 } },
  { type: 'object', patternProperties: { '^x': { type: 'boolean' } }, additionalProperties: false, minProperties: 1, maxProperties: 4 },
  { type: 'string', format: 'date-time' },
  {
    allOf: [
      { type: 'string', maxLength: 5 },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      { if: { minLength: 2 }, then: { pattern: 'a' }, else: { pattern: 'b' } },
    ],
  },
  {
    prefixItems: [{ type: 'integer' }],
    contains: { type: 'string' },
    dependentRequired: { a: ['b'] },
    propertyNames: { pattern: '^[ab]$' },
  },
]

export const schemaTexts = {
  name: 'schemas',
  share: 3,
  make: (random) => new TextEncoder().encode(mutateJsonText(random, random.pick(schemas))),
  async use(bytes) {
    let jsonSchema
    try {
      jsonSchema = JSON.parse(new TextDecoder().decode(bytes))
    } catch {
      return // whoever takes a schema as a text has parsed it
    }
    await walk({ jsonSchema }, bytes)
  },
}

export const grammars = [
  'root ::= "a" | b\nb ::= [a-z]{1,3} (" " b)?\n',
  'root ::= object\nobject ::= "{" ws (string ":" ws value)* "}"\nvalue ::= object | string\nstring ::= "\\"" [^"\\\\]* "\\""\nws ::= [ \\t\\n]*\n',
  'root ::= (a | "x"){2,5} # comment\na ::= "\\x41" | [^\\u0000-\\u0020]+ | .\n',
]
const grammarWords = [
  '::=',
  '|',
  '(',
  ')',
  '*',
  '+',
  '?',
  '{2,3}',
  '{0,999}',
  '[^a]',
  '[a-',
  '"',
  '\\x',
  '.',
  'root',
  ' b ',
  '\n',
  '#',
  '<[5]>',
  '!<[1]>',
]

export const grammarTexts = {
  name: 'grammars',
  share: 5,
  make: (random) => new TextEncoder().encode(mutateText(random, random.pick(grammars), grammarWords, 5000)),
  use: async (bytes) => walk({ grammar: new TextDecoder().decode(bytes) }, bytes),
}

export const patterns = [
  '^[a-z]{1,8}(?:foo|bar)+$',
  '(a|b)*c{2,}',
  '\\d+(\\.\\d+)?',
  '[^\\s"]+\\w*',
  '(?=a)b',
  'x{0,200}y{0,200}',
  '\\p{L}+',
  '(((a?)?)?)*',
]
const patternWords = [
  '(',
  ')',
  '(?:',
  '(?=',
  '[',
  ']',
  '[^',
  '{',
  '}',
  '{3,}',
  '{0,500}',
  '*',
  '+',
  '?',
  '|',
  '^',
  '$',
  '\\d',
  '\\b',
  '\\1',
  '\\u{1F600}',
  '.',
  '-',
]

export const patternTexts = {
  name: 'patterns',
  share: 5,
  make: (random) => new TextEncoder().encode(mutateText(random, random.pick(patterns), patternWords, 2000)),
  use: async (bytes) => walk({ regex: new TextDecoder().decode(bytes) }, bytes),
}
