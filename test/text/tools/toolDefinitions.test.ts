import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { checkMessages } from '../../../dist/text/chat/chatMessages.js'
import { Constraint } from '../../../dist/text/constraint/constraint.js'
import { TokenTrie } from '../../../dist/text/constraint/tokenTrie.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { GENERIC } from '../../../dist/text/tools/callFormat.js'
import { callExpression } from '../../../dist/text/tools/callGrammar.js'
import { callIds, shortId } from '../../../dist/text/tools/toolCalls.js'
import { argumentsSchema, checkTools, type ToolOptions } from '../../../dist/text/tools/toolDefinitions.js'
import { metadataOf, normal } from '../tokenizer/vocabularies.js'

const tool = (name: unknown, parameters?: unknown, more: object = {}) => ({ type: 'function', function: { name, parameters, ...more } })
const options = (...tools: unknown[]) => ({ tools }) as ToolOptions
const cyclic: Record<string, unknown> = { type: 'object' }
cyclic.properties = cyclic
const deep = (levels: number) =>
  Array.from({ length: levels }).reduce<object>((inner) => ({ type: 'object', properties: { a: inner } }), {})

describe('refused by name', () => {
  const refusals: [what: string, given: object, message: RegExp][] = [
    ['tools that are no list', { tools: {} }, /tools is an object, expected a list/],
    ['a tool that is null', options(null), /tools\[0\] has the type no value, expected "function"/],
    ['another type', options({ type: 'retrieval' }), /tools\[0\] has the type "retrieval"/],
    ['no function', options({ type: 'function' }), /tools\[0\]\.function is no value/],
    ['no name', options(tool(undefined)), /tools\[0\] has the name no value/],
    ['an empty name', options(tool('')), /tools\[0\] has the name ""/],
    ['a name with blanks', options(tool('get weather')), /tools\[0\] has the name "get weather"/],
    ['a name with a quote', options(tool('a"b')), /tools\[0\] has the name/],
    ['a name that is a control token', options(tool('</s>')), /tools\[0\] has the name "<\/s>"/],
    ['a long name', options(tool('a'.repeat(65))), /expected 1 to 64 letters/],
    ['two of one name', options(tool('a'), tool('b'), tool('a')), /two functions "a"/],
    ['a description that is none', options(tool('a', undefined, { description: 7 })), /description of the tool a is 7/],
    [
      'a strictness that is none',
      options(tool('a', undefined, { strict: 'yes' })),
      /strict of the tool a is "yes", expected true or false/,
    ],
    ['parameters that are none', options(tool('a', [])), /parameters of the tool a are a list of 0/],
    ['parameters of another type', options(tool('a', { type: 'string' })), /parameters of the tool a have the type "string"/],
    ['parameters in a circle', options(tool('a', cyclic)), /tools is not plain JSON/],
    ['parameters without end', options(tool('a', deep(10_000))), /tools (nests more than 60|is not plain JSON)/],
    ['a number too large', options(tool('a', { type: 'object', properties: { a: { const: 1n } } })), /tools is not plain JSON/],
    [
      '10,000 tools',
      options(...Array.from({ length: 10_000 }, (_, i) => tool(`f${i}`))),
      /tools has 10000 functions, expected at most 128/,
    ],
    ['a megabyte', options(tool('a', { type: 'object', description: 'x'.repeat(1_000_000) })), /characters of JSON, expected at most/],
    ['another choice', { ...options(tool('a')), toolChoice: 'any' }, /toolChoice is "any", expected auto, none, required/],
    ['a choice that is null', { ...options(tool('a')), toolChoice: null }, /toolChoice is null/],
    [
      'an unknown choice',
      { ...options(tool('a')), toolChoice: tool('b') },
      /toolChoice is the function "b", but tools has none of this name/,
    ],
    ['a choice without tools', { toolChoice: 'required' }, /toolChoice is required, but tools has no function/],
    [
      'parallel calls that are no switch',
      { ...options(tool('a')), parallelToolCalls: 1 },
      /parallelToolCalls is 1, expected true or false/,
    ],
  ]
  test.each(refusals)('%s', (_, given, message) => {
    expect(() => checkTools(given)).toThrow(expect.objectContaining({ code: 'OPTION', message: expect.stringMatching(message) }))
  })
})

/** JSON with the names that definitions and messages have, so that it is wrong in many places. */
const nearly = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium' },
    fc.constantFrom<unknown>(null, undefined, 'function', 'auto', 'tool', 'user', 'assistant', 'text', 'get', '{}', '', 7, true, '\ud800'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom('type', 'function', 'name', 'parameters', 'role', 'content', 'tool_calls', 'tool_call_id', 'id', 'arguments', 'text'),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
})).value

test('whatever is given as tools or messages, it is checked or refused in good order', () => {
  fc.assert(
    fc.property(nearly, nearly, (first, second) => {
      for (const check of [
        () => checkTools({ tools: first, toolChoice: second } as ToolOptions),
        () => checkMessages([first, second] as never),
      ]) {
        try {
          check()
        } catch (error) {
          expect(error).toBeInstanceOf(MixtralError)
        }
      }
    }),
    { numRuns: 2000 },
  )
})

const trie = new TokenTrie(Tokenizer.fromGgufMetadata(metadataOf(normal(...'{}[]":,_abcdefghijklmnoprstuvy '))))
const compile = (given: object) => {
  const tools = checkTools(given)!
  const language = { format: GENERIC, tools, idOf: () => 'abcdefghi', jsonSchema: undefined }
  return new Constraint({ compose: (grammar) => callExpression(grammar, language) }, trie)
}

test.each([
  ['an unknown keyword', { properties: { a: { typ: 'string' } } }, 'OPTION', /parameters of the tool get: typ at #\/properties\/a\/typ/],
  ['a keyword without support', { properties: { a: { $dynamicRef: '#b' } } }, 'UNSUPPORTED', /parameters of the tool get: \$dynamicRef/],
  ['a schema elsewhere', { $ref: 'https://example.org/a' }, 'UNSUPPORTED', /parameters of the tool get: \$ref at #\/\$ref/],
  [
    'an explosion',
    { allOf: Array.from({ length: 9 }, (_, i) => ({ anyOf: Array.from({ length: 9 }, (_, j) => ({ required: [`${i}${j}`] })) })) },
    'UNSUPPORTED',
    /parameters of the tool get: /,
  ],
])(
  'arguments with %s are refused with the name of the tool, and go without it if the tool is not strict',
  (_, parameters, code, message) => {
    const refused = expect.objectContaining({ code, message: expect.stringMatching(message) })
    expect(() => compile(options(tool('get', parameters)))).toThrow(refused)
    expect(() => compile(options(tool('get', parameters, { strict: true })))).toThrow(refused)
    const state = compile(options(tool('get', parameters, { strict: false }))).start(true)
    expect(state.mask().some((word) => word !== 0)).toBe(true)
  },
)

test('128 tools make a mask', () => {
  const parameters = { type: 'object', properties: { city: { type: 'string', maxLength: 20 }, days: { type: 'integer', maximum: 9 } } }
  const constraint = compile(
    options(...Array.from({ length: 128 }, (_, i) => tool(`call_${i.toString(36).padStart(59, 'f')}`, parameters))),
  )
  const state = constraint.start(true)
  expect(state.mask().some((word) => word !== 0)).toBe(true)
})

test('arguments are an object, and objects have no properties that nobody named, unless the schema speaks of others', () => {
  const schemaOf = (parameters?: object) => argumentsSchema(checkTools(options(tool('a', parameters)))!.tools[0]!)
  const named = { properties: { a: true }, additionalProperties: false }
  expect(schemaOf()).toEqual({ type: 'object', properties: {}, additionalProperties: false })
  expect(schemaOf({ properties: { a: true } })).toEqual({ type: 'object', ...named })
  expect(
    schemaOf({ properties: { b: { properties: { a: true } }, c: { items: { properties: { a: true } } }, d: { type: 'object' } } }),
  ).toEqual({
    type: 'object',
    properties: { b: named, c: { items: named }, d: { type: 'object' } },
    additionalProperties: false,
  })
  for (const open of [
    { additionalProperties: true },
    { patternProperties: {} },
    { anyOf: [{}] },
    { $ref: '#/$defs/a', $defs: { a: {} } },
  ]) {
    expect(schemaOf(open)).toEqual({ type: 'object', properties: {}, ...open })
  }
})

test('objects behind refs and in alternatives are closed, unless objects are put together of several schemas', () => {
  const schemaOf = (parameters: object) => argumentsSchema(checkTools(options(tool('a', parameters)))!.tools[0]!)
  const open = { type: 'object', properties: { lat: { type: 'integer' } } }
  const shut = { ...open, additionalProperties: false }
  const ref = { $ref: '#/$defs/Loc' }
  const base = { properties: { loc: ref }, $defs: { Loc: open } }
  expect(schemaOf(base)).toMatchObject({ $defs: { Loc: shut }, additionalProperties: false })
  expect(
    schemaOf({ properties: { loc: { anyOf: [ref, { type: 'null' }] }, other: { oneOf: [open, false] } }, $defs: { Loc: open } }),
  ).toMatchObject({
    properties: { other: { oneOf: [shut, false] } },
    $defs: { Loc: shut },
  })
  expect(schemaOf({ properties: { list: { prefixItems: [open], items: false } } })).toMatchObject({
    properties: { list: { prefixItems: [shut], items: false } },
  })
  for (const mixed of [
    { allOf: [ref, { properties: { more: true } }] },
    { ...ref, properties: { more: true } },
    { anyOf: [ref, open], required: ['x'] },
  ]) {
    const schema = schemaOf({ properties: { loc: mixed }, $defs: { Loc: open } })
    expect(schema).toMatchObject({ $defs: { Loc: open }, properties: { loc: mixed }, additionalProperties: false })
    expect((schema as { $defs: { Loc: object } }).$defs.Loc).not.toHaveProperty('additionalProperties')
  }
})

test('ids of calls have nine letters and digits, follow from prompt, seed and place, and differ', () => {
  const ids = [callIds([1, 2], 3), callIds([1, 2, 3], 3), callIds([1, 2], 4), callIds([1, 2], undefined)].flatMap((idOf) => [
    idOf(0),
    idOf(1),
  ])
  expect(new Set(ids).size).toBe(8)
  for (const id of ids) expect(id).toMatch(/^[a-zA-Z0-9]{9}$/)
  expect(callIds([1, 2], 3)(1)).toBe(ids[1])
})

test('a foreign id becomes one of nine letters and digits, the same each time, and one that has them stays', () => {
  expect(shortId('abcDEF123')).toBe('abcDEF123')
  const foreign = ['call_abc', 'call_abd', 'abcDEF12', 'abcDEF1234', 'toolu_01A', '🙂', 'a b c d e']
  const short = foreign.map(shortId)
  expect(short).toEqual(foreign.map(shortId))
  expect(new Set(short).size).toBe(foreign.length)
  for (const id of short) expect(id).toMatch(/^[a-zA-Z0-9]{9}$/)
})
