// Grammars, schemas and patterns that nobody means well with: each is refused with a MixtralError or gives working
// masks. HOSTILE=10000 for the full number. The work of a call is counted in steps, which is what is checked here: time
// depends on the machine.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { Budget } from '../../../dist/text/constraint/budget.js'
import { Constraint, type ConstraintState } from '../../../dist/text/constraint/constraint.js'
import { Grammar } from '../../../dist/text/constraint/expressions.js'
import type { GbnfNode } from '../../../dist/text/constraint/gbnf.js'
import { gbnfExpression } from '../../../dist/text/constraint/gbnfGrammar.js'
import { accepts, type ConstraintSpec, compileLanguage } from '../../../dist/text/constraint/language.js'
import { Terms } from '../../../dist/text/constraint/terms.js'
import { TokenTrie } from '../../../dist/text/constraint/tokenTrie.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { metadataOf, normal } from '../tokenizer/vocabularies.js'

const RUNS = Number(process.env.HOSTILE ?? 300)
const full = { timeout: 3_600_000 }
const pieces = 'a b ab aa aaaa x xx ▁ ▁a " {" ": , "a [[ ]] 0 1 00 . - \n ▁▁▁▁ é ( )'.split(' ')
const tokenizer = Tokenizer.fromGgufMetadata(metadataOf(normal(...pieces)))
const trie = new TokenTrie(tokenizer)

/** Follows a text drawn from the masks for some tokens. Only a MixtralError may come of it. */
function survives(spec: ConstraintSpec, choices: readonly number[]): void {
  try {
    const state = new Constraint(spec, trie).start(true)
    for (const choice of choices) {
      const allowed = allowedIn(state)
      expect(allowed.length).toBeGreaterThan(0)
      const id = allowed[choice % allowed.length]!
      state.accept(id)
      if (tokenizer.endIds.has(id)) return
      for (const forced of state.forced()) state.accept(forced)
    }
  } catch (error) {
    if (!(error instanceof MixtralError)) throw error
    expect(['OPTION', 'UNSUPPORTED']).toContain(error.code)
  }
}

function allowedIn(state: ConstraintState): number[] {
  const mask = state.mask()
  return Array.from({ length: trie.vocabSize }, (_, id) => id).filter((id) => (mask[id >>> 5]! >>> (id & 31)) & 1)
}

const choices = fc.array(fc.nat(), { minLength: 12, maxLength: 12 })

const symbol = fc.oneof(
  fc.constantFrom(...'"a" "b" "ab" [ab] [^a] . "" [a-z]* "x"? .{0,999} "a"{3,} ( ) | * + ? {0,1000000} \n # "\\x !<[260]>'.split(' ')),
  fc.constantFrom('r0', 'r1', 'r2', 'root'),
)
const grammar = fc
  .array(fc.array(symbol, { maxLength: 12 }), { minLength: 1, maxLength: 5 })
  .map((rules) => rules.map((symbols, i) => `${i === 0 ? 'root' : `r${i - 1}`} ::= ${symbols.join(' ')}`).join('\n'))

const regex = fc
  .array(fc.constantFrom(...'a b . [ab] (a|aa) ( ) | * + ? {2,50} {0,1000} {9} .* ^ $ (?:a?){40} [^ \\ \\d a.{20} (?= é'.split(' ')), {
    maxLength: 14,
  })
  .map((parts) => parts.join(''))

const keyword = (name: string, values: fc.Arbitrary<unknown>) => values.map((value) => [name, value] as const)
const keywords = (part: fc.Arbitrary<unknown>) => [
  keyword('type', fc.constantFrom('object', 'array', 'string', 'integer', 'number', ['object', 'array', 'null'], 'x')),
  keyword('$defs', fc.record({ d: part })),
  keyword('$ref', fc.constantFrom('#', '#/$defs/d', '#/items', 'x')),
  keyword('properties', fc.dictionary(fc.constantFrom('a', 'b', '__proto__', ''), part, { maxKeys: 3 })),
  keyword('patternProperties', fc.dictionary(regex, part, { maxKeys: 2 })),
  keyword('required', fc.array(fc.constantFrom('a', 'b', 'constructor'), { maxLength: 3 })),
  keyword('additionalProperties', part),
  keyword('unevaluatedProperties', part),
  keyword('propertyNames', part),
  keyword('minProperties', fc.nat({ max: 9 })),
  keyword('maxProperties', fc.nat({ max: 9 })),
  keyword('dependentRequired', fc.constantFrom({ a: ['b'] }, { b: ['a'] })),
  keyword('items', part),
  keyword('prefixItems', fc.array(part, { maxLength: 3 })),
  keyword('contains', part),
  keyword('minContains', fc.constantFrom(0, 1, 3, 1e9)),
  keyword('maxContains', fc.constantFrom(0, 1, 3, 1e9)),
  keyword('minItems', fc.constantFrom(0, 1, 3, 1e9)),
  keyword('maxItems', fc.constantFrom(0, 1, 3, 1e9)),
  keyword('uniqueItems', fc.boolean()),
  keyword('allOf', fc.array(part, { maxLength: 4 })),
  keyword('anyOf', fc.array(part, { maxLength: 4 })),
  keyword('oneOf', fc.array(part, { maxLength: 4 })),
  keyword('not', part),
  keyword('if', part),
  keyword('then', part),
  keyword('else', part),
  keyword('enum', fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 5 })),
  keyword('const', fc.jsonValue({ maxDepth: 2 })),
  keyword('minimum', fc.double({ noNaN: true })),
  keyword('exclusiveMaximum', fc.double({ noNaN: true, noDefaultInfinity: true })),
  keyword('multipleOf', fc.constantFrom(1e-300, 1e300, 0.1, 7, 86400, -1)),
  keyword('minLength', fc.constantFrom(0, 1, 5, 1e6, 1e15)),
  keyword('maxLength', fc.constantFrom(0, 1, 5, 1e6, 1e15)),
  keyword('pattern', regex),
  keyword('format', fc.constantFrom('date', 'ipv6', 'uri', 'hostname', 'nope')),
]
const { schema } = fc.letrec<{ schema: unknown; part: unknown }>((tie) => ({
  part: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>(true, false, {}, { $ref: '#' }, { $ref: '#/$defs/d' }, { $ref: '#/properties/a' }, 5, null),
    tie('schema'),
  ),
  // few keywords at a time, since schemas within schemas multiply
  schema: fc.array(fc.oneof(...keywords(tie('part'))), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
}))

test(`${RUNS} hostile grammars are refused or give masks`, full, () => {
  fc.assert(
    fc.property(grammar, choices, (source, picks) => survives({ grammar: source }, picks)),
    { numRuns: RUNS },
  )
})

test(`${RUNS} hostile regular expressions are refused or give masks`, full, () => {
  fc.assert(
    fc.property(regex, choices, (source, picks) => survives({ regex: source }, picks)),
    { numRuns: RUNS },
  )
})

test(`${RUNS} hostile JSON Schemas are refused or give masks`, full, () => {
  fc.assert(
    fc.property(schema, choices, (jsonSchema, picks) => survives({ jsonSchema }, picks)),
    { numRuns: RUNS },
  )
})

const repeated = <T>(count: number, part: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => part(i))
/** Characters that are no neighbors. */
const apart = (i: number) => String.fromCodePoint(0x4e00 + 2 * i)
const nested = (depth: number, wrap: (inner: unknown) => unknown) =>
  Array.from({ length: depth }).reduce<unknown>((inner) => wrap(inner), { type: 'null' })
const doubling = (make: (next: unknown) => unknown) => ({
  $ref: '#/$defs/a0',
  $defs: Object.fromEntries([
    ...repeated(60, (i) => `a${i}`).map((name, i) => [name, make({ $ref: `#/$defs/a${i + 1}` })]),
    ['a60', { type: 'null' }],
  ]),
})

test.each<[name: string, spec: ConstraintSpec]>([
  ['lists 100,000 levels deep', { jsonSchema: nested(100_000, (items) => ({ type: 'array', items })) }],
  ['lists 150 levels deep', { jsonSchema: nested(150, (items) => ({ type: 'array', items, minItems: 1 })) }],
  ['allOf 10,000 levels deep', { jsonSchema: nested(10_000, (inner) => ({ allOf: [inner] })) }],
  [
    '20,000 properties',
    { jsonSchema: { type: 'object', properties: Object.fromEntries(repeated(20_000, (i) => `p${i}`).map((name) => [name, {}])) } },
  ],
  ['20,000 words', { jsonSchema: { enum: repeated(20_000, (i) => `word ${i * 7919}`) } }],
  ['a choice that doubles sixty times', { jsonSchema: doubling((next) => ({ anyOf: [next, next] })) }],
  [
    'a tuple that doubles sixty times',
    { jsonSchema: doubling((next) => ({ type: 'array', prefixItems: [next, next], items: false, minItems: 2 })) },
  ],
  [
    'a product of choices',
    { jsonSchema: { allOf: repeated(20, (i) => `${i}`).map((i) => ({ anyOf: [{ required: [`a${i}`] }, { required: [`b${i}`] }] })) } },
  ],
  [
    'dependencies of all on all',
    {
      jsonSchema: {
        dependentRequired: Object.fromEntries(repeated(12, (i) => `p${i}`).map((name, i, all) => [name, all.toSpliced(i, 1)])),
      },
    },
  ],
  ['a list of a billion items', { jsonSchema: { type: 'array', items: { type: 'null' }, minItems: 1e9 } }],
  ['a string of 10^15 characters', { jsonSchema: { type: 'string', minLength: 1e15 } }],
  ['a pattern whose automaton has 2^30 states, with a length', { jsonSchema: { type: 'string', pattern: 'a.{30}$', maxLength: 100 } }],
  ['the same pattern without one', { jsonSchema: { type: 'string', pattern: 'a.{30}$' } }],
  ['repeats in repeats', { regex: '((a{0,1000}b?){0,1000}c?){0,1000}' }],
  ['catastrophic backtracking elsewhere', { regex: '(a*)*(a+a+)+(a|aa)*b' }],
  ['500 optional characters', { regex: repeated(500, (i) => `${String.fromCharCode(97 + (i % 26))}?`).join('') }],
  ['x? a thousand times', { grammar: `root ::= ${'"x"? '.repeat(1000)}` }],
  ['an optional rule a thousand times', { grammar: `root ::= ${'r? '.repeat(1000)}\nr ::= "(" r ")" | "a" r | "b"` }],
  ['a rule that is ambiguous everywhere', { grammar: 'root ::= s\ns ::= [a-z] s s s | [a-z] s [a-z] | [a-z] | ""' }],
  [
    'a rule that doubles sixty times',
    { grammar: `root ::= r0\n${repeated(60, (i) => `r${i} ::= r${i + 1} r${i + 1}`).join('\n')}\nr60 ::= "a" | "b"` },
  ],
  ['20,000 rules in a chain', { grammar: `root ::= r0\n${repeated(20_000, (i) => `r${i} ::= r${i + 1}`).join('\n')}\nr20000 ::= "a"` }],
  ['20,000 groups in each other', { grammar: `root ::= ${'('.repeat(20_000)}"a"${')'.repeat(20_000)}` }],
  ['a grammar of two million characters', { grammar: `root ::= "${'a'.repeat(2_000_000)}"` }],
  [
    '100,000 items below a hundred groups, none of them regular',
    { grammar: `root ::= ${'("q" '.repeat(98)}${'"a" '.repeat(100_000)}root${')'.repeat(98)} | "z"` },
  ],
  ['a hundred thousand times any token but one', { grammar: `root ::= ${repeated(100_000, (i) => `!<[${i % 250}]>`).join(' ')}` }],
  [
    '3,000 rules with a set of tokens each',
    {
      grammar: [
        `root ::= ${repeated(3000, (i) => `r${i}`).join(' | ')}`,
        ...repeated(3000, (i) => `r${i} ::= !<[${i % 250}]> "x" r${i} | "y"`),
      ].join('\n'),
    },
  ],
  ['20,000 repeats of a repeat', { grammar: `root ::= "a"${'{2,3}'.repeat(20_000)}` }],
  ['a few thousand repeats of a repeat', { grammar: `root ::= "a"${'{2,3}'.repeat(3000)}` }],
  ['words of which each begins the next', { jsonSchema: { enum: repeated(3000, (i) => 'a'.repeat(i)) } }],
  ['fewer such words', { jsonSchema: { enum: repeated(1500, (i) => 'a'.repeat(i)) } }],
  ['10,000 single characters', { regex: repeated(9999, apart).join('|') }],
  [
    'patterns of 10,000 single characters',
    { jsonSchema: { allOf: repeated(40, (n) => ({ pattern: repeated(9999, apart).join('|') + n })) } },
  ],
  [
    'a name of two million characters above 30,000 others',
    {
      jsonSchema: {
        properties: { ['n'.repeat(2_000_000)]: { properties: Object.fromEntries(repeated(30_000, (i) => [`p${10_000 + i}`, {}])) } },
      },
    },
  ],
  [
    'a URI of two million characters above 30,000 others',
    {
      jsonSchema: {
        $id: `http://h/${'n'.repeat(2_000_000)}/x`,
        properties: Object.fromEntries(repeated(30_000, (i) => [`p${i}`, { $id: `b${i}` }])),
      },
    },
  ],
  ['none of 200,000 words', { jsonSchema: { type: 'string', not: { enum: repeated(200_000, (i) => `v${i}`) } } }],
  ['none of 300,000 numbers', { jsonSchema: { type: 'integer', not: { enum: repeated(300_000, (i) => i) } } }],
  [
    '100,000 words, and none of others',
    { jsonSchema: { enum: repeated(100_000, (i) => `a${i}`), not: { enum: repeated(100_000, (i) => `v${i}`) } } },
  ],
  [
    '8,000 properties with none of 400,000 names',
    {
      jsonSchema: {
        type: 'object',
        properties: Object.fromEntries(repeated(8000, (i) => [`a${i}`, {}])),
        propertyNames: { enum: repeated(400_000, (i) => `b${i}`) },
      },
    },
  ],
  ['45,000 items that must not all be anything', { jsonSchema: { not: { prefixItems: repeated(45_000, () => ({})) } } }],
  ['a million names that must not all be there', { jsonSchema: { not: { required: repeated(1_000_000, (i) => `a${i}`) } } }],
  [
    'a product of choices with long lists of names',
    {
      jsonSchema: {
        allOf: [
          { anyOf: repeated(90, (i) => ({ required: repeated(4000, (j) => `a${i}b${j}`) })) },
          { anyOf: repeated(90, (i) => ({ required: [`c${i}`] })) },
        ],
      },
    },
  ],
  ['one of 8,000 types', { jsonSchema: { oneOf: repeated(8000, (i) => ({ type: i % 2 ? 'string' : 'null' })) } }],
  [
    '8,000 divisors of 100,000 numbers',
    { jsonSchema: { allOf: [...repeated(8000, (i) => ({ multipleOf: i + 1 })), { enum: repeated(100_000, (i) => i + 0.5) }] } },
  ],
  [
    '20,000 items of a schema with half a million keys',
    {
      jsonSchema: {
        type: 'array',
        allOf: [
          { prefixItems: repeated(20_000, () => ({ type: 'null' })) },
          { items: Object.fromEntries(repeated(500_000, (i) => [`x-${i}`, 1])) },
        ],
      },
    },
  ],
])('%s: refused, or masks', (_, spec) => {
  survives(spec, [0, 1, 2, 3, 5, 7, 11, 13])
})

test('a schema that holds itself is refused', () => {
  const schema: Record<string, unknown> = { type: 'array' }
  schema.items = schema
  expect(() => new Constraint({ jsonSchema: schema }, trie)).toThrow('more than 200 levels deep')
})

test('the parts of a grammar are looked at once, on however many levels they are', () => {
  let looks = 0
  const item: GbnfNode = {
    kind: 'set',
    get points() {
      looks++
      return [0x61, 0x61]
    },
  }
  const root: GbnfNode = { kind: 'rule', name: 'root' }
  let parts: GbnfNode = { kind: 'sequence', parts: [item, root] }
  for (let level = 0; level < 90; level++) parts = { kind: 'sequence', parts: [item, parts] }
  const rules = new Map([['root', { kind: 'choice', parts: [parts, item] } satisfies GbnfNode]])
  gbnfExpression(new Grammar(new Terms(new Budget(1e6, 'the grammar'))), rules, undefined)
  expect(looks).toBe(1)
})

test('the vocabulary is looked through once, however many tokens a grammar names', () => {
  let looks = 0
  const isControl = () => {
    looks++
    return false
  }
  const names = { vocabSize: 1000, idOf: () => undefined, isEnd: () => false, isControl }
  const language = compileLanguage({ grammar: `root ::= ${repeated(100, (i) => `!<[${i}]>`).join(' ')} "a"` }, names)
  expect(looks).toBe(1000)
  expect(language.stepToken(language.start, 0)).toBe(null)
  expect(language.stepToken(language.start, 1)).not.toBe(null)
})

test.each([
  ['not', { not: { enum: ['a', 3, null, true] } }],
  ['and', { enum: ['b', 4, false, {}], not: { enum: ['a', 3, null, true] } }],
])('what none of a list leaves: %s', (_, jsonSchema) => {
  const language = compileLanguage({ jsonSchema, spacing: 'compact' })
  expect(['"b"', '4', 'false', '{}'].filter((text) => !accepts(language, text))).toEqual([])
  expect(['"a"', '3', '3.0', 'null', 'true'].filter((text) => accepts(language, text))).toEqual([])
})
