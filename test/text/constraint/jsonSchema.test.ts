// JSON Schemas: which texts each keyword lets through, in which order, with which spaces; and what is refused as a
// schema.

import { expect, test } from 'vitest'
import { accepts, compileLanguage } from '../../../dist/text/constraint/language.js'
import { schemaExpression } from '../../../dist/text/constraint/schema/schemaGrammar.js'

const object = (properties: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  type: 'object',
  properties,
  additionalProperties: false,
  ...more,
})
const conditional = { properties: { v: {} }, required: ['v'] }

test.each<[name: string, schema: unknown, pass: string[], fail: string[]]>([
  [
    'true',
    true,
    ['{}', '[1, 2.5e3]', '"aé\\u00e9\\ud83d\\ude00"', '{"a": {"b": [true, null]}}'],
    ['', '{', '{"a"}', '01', '1.', '"\\ud800"', '{"a":1,}', '1e999', 'nul'],
  ],
  ['types', { type: ['string', 'null'] }, ['"x"', 'null'], ['1', 'true', '{}']],
  ['a number', { type: 'number' }, ['0', '-1.5', '2e-7'], ['"1"', '+1', '.5', '1.', '00', '1e123', '12345678901234567']],
  ['an integer', { type: 'integer' }, ['0', '-12', '1234567890123456'], ['1.0', '1e3', '-0', '01', '12345678901234567']],
  [
    'an integer from 0',
    { type: 'integer', minimum: 0 },
    ['0', '7', '10', '1234567890000000'],
    ['-0', '-1', '00', '01', '12345678900000000'],
  ],
  ['an integer from 2', { type: 'integer', minimum: 2 }, ['2', '10', '1234567890000000'], ['0', '1', '01', '12345678900000000']],
  ['an integer above 9', { type: 'integer', exclusiveMinimum: 9 }, ['10', '99', '100'], ['0', '9', '09']],
  ['an integer up to 30', { type: 'integer', maximum: 30 }, ['-999', '-1', '0', '9', '10', '30'], ['31', '100', '-01']],
  [
    'an integer in bounds',
    { type: 'integer', minimum: -123, maximum: 42 },
    ['-123', '-99', '-1', '0', '7', '42'],
    ['-124', '-200', '43', '100', '-0'],
  ],
  [
    'a number in bounds',
    { type: 'number', minimum: 0.5, exclusiveMaximum: 3 },
    ['0.5', '0.50', '2.99999', '1'],
    ['0.4', '0', '3', '3.0', '5e-1'],
  ],
  ['a multiple', { type: 'number', multipleOf: 0.01 }, ['0.07', '12.34', '-3', '1.5'], ['0.001', '1.234']],
  [
    'a multiple in bounds',
    { type: 'integer', multipleOf: 86400, minimum: 1, maximum: 1e6 },
    ['86400', '864000'],
    ['0', '86401', '1036800'],
  ],
  [
    'lengths in characters',
    { type: 'string', minLength: 2, maxLength: 3 },
    ['"ab"', '"é😀日"', '"\\n\\u0041"', '"\\ud83d\\ude00x"'],
    ['"a"', '"😀"', '"abcd"'],
  ],
  ['a pattern, which is no whole match', { type: 'string', pattern: 'b+' }, ['"abc"', '"bb"', '"\\"b\\n"'], ['"ac"', '"\\u0062"']],
  ['a pattern cannot break out of its string', { type: 'string', pattern: '^.{3}$' }, ['"abc"', '"\\"\\\\x"'], ['"ab"', '""""', '"\\"x"']],
  ['a pattern with lengths', { type: 'string', pattern: '^(ab)*$', minLength: 3, maxLength: 5 }, ['"abab"'], ['"ab"', '"aba"', '"ababab"']],
  ['an enum', { enum: ['a', 1, null, [1], { b: 2 }] }, ['"a"', '1', 'null', '[1]', '{"b": 2}'], ['"b"', '2', '[]', '{}', '1.0']],
  ['an enum with a type', { type: 'string', enum: ['a', 1] }, ['"a"'], ['1']],
  ['a const with escapes', { const: 'a"\\\n\u0001é' }, ['"a\\"\\\\\\n\\u0001é"'], ['"a"']],
  [
    'a list',
    { type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 3 },
    ['[1]', '[1, 2, 3]', '[\n  1,\n  2\n]'],
    ['[]', '[1,2,3,4]', '["a"]', '[1,]'],
  ],
  [
    'a tuple',
    { prefixItems: [{ type: 'integer' }, { type: 'string' }], items: false, type: 'array' },
    ['[]', '[1]', '[1,"a"]'],
    ['["a"]', '[1,"a",2]'],
  ],
  [
    'contains',
    { type: 'array', items: { type: 'integer' }, contains: { minimum: 5 }, maxContains: 2 },
    ['[5]', '[1,5,9]'],
    ['[]', '[1]', '[5,6,7]'],
  ],
  [
    'unique listed items',
    { type: 'array', items: { enum: ['a', 'b', 3] }, uniqueItems: true, minItems: 2 },
    ['["a","b"]', '[3,"b","a"]'],
    ['["a"]', '["a","a"]', '[3,"a",3]'],
  ],
  [
    'properties in their order',
    object({ b: { type: 'integer' }, a: {} }),
    ['{}', '{"b":1,"a":2}', '{"a":"x"}'],
    ['{"a":1,"b":2}', '{"b":"x"}', '{"c":1}', '{"b":1,"b":2}'],
  ],
  [
    'required properties stay in that order',
    object({ b: {}, a: {}, c: {} }, { required: ['c', 'a'] }),
    ['{"a":1,"c":2}', '{"b":0,"a":1,"c":2}'],
    ['{"c":2,"a":1}', '{"a":1}'],
  ],
  [
    'other properties come after them',
    { type: 'object', properties: { a: { type: 'integer' } } },
    ['{"a":1,"x":"y"}', '{"x":"y"}'],
    ['{"x":"y","a":1}', '{"a":"x"}', '{"\\u0061":"x"}'],
  ],
  [
    'a schema for other properties',
    { type: 'object', properties: { a: {} }, additionalProperties: { type: 'null' } },
    ['{"a":1,"b":null}'],
    ['{"b":1}'],
  ],
  [
    'properties by pattern',
    { type: 'object', patternProperties: { '^x': { type: 'integer' }, y$: { minimum: 5 } }, additionalProperties: false },
    ['{"x1":1,"by":"s","xy":6}'],
    ['{"x1":"a"}', '{"xy":4}', '{"z":1}'],
  ],
  ['names of properties', { type: 'object', propertyNames: { pattern: '^[a-z]{2}$' } }, ['{"ab":1}'], ['{"a":1}', '{"abc":1}']],
  [
    'counts of properties',
    object({ a: {}, b: {}, c: {} }, { minProperties: 1, maxProperties: 2 }),
    ['{"a":1}', '{"b":1,"c":1}'],
    ['{}', '{"a":1,"b":1,"c":1}'],
  ],
  ['dependent properties', object({ a: {}, b: {} }, { dependentRequired: { a: ['b'] } }), ['{}', '{"b":1}', '{"a":1,"b":1}'], ['{"a":1}']],
  [
    'dependent schemas',
    object({ a: {}, b: {} }, { dependentSchemas: { a: { properties: { b: { type: 'null' } } } } }),
    ['{"b":1}', '{"a":1,"b":null}'],
    ['{"a":1,"b":1}'],
  ],
  [
    'anyOf beside properties',
    object({ a: {}, b: {} }, { anyOf: [{ required: ['a'] }, { required: ['b'] }] }),
    ['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
    ['{}'],
  ],
  ['oneOf of what excludes itself', { oneOf: [{ type: 'integer' }, { type: 'string' }] }, ['1', '"a"'], ['null', '1.5']],
  [
    'oneOf of what overlaps',
    {
      oneOf: [
        { type: 'integer', minimum: 0, maximum: 9 },
        { type: 'integer', minimum: 5, maximum: 20 },
      ],
    },
    ['4', '10'],
    ['5', '9', '21'],
  ],
  [
    'oneOf of closed objects',
    { oneOf: [object({ a: {} }, { required: ['a'] }), object({ b: {} }, { required: ['b'] })] },
    ['{"a":1}', '{"b":1}'],
    ['{}', '{"a":1,"b":1}'],
  ],
  [
    'allOf',
    {
      allOf: [
        object({ a: { minimum: 3 } }, { additionalProperties: true }),
        object({ a: { type: 'integer' }, b: {} }, { required: ['a'] }),
      ],
    },
    ['{"a":3}', '{"a":4,"b":1}'],
    ['{"a":2}', '{"b":1}', '{"a":3.5}'],
  ],
  ['not', { type: ['string', 'integer'], not: { enum: ['a', 5] } }, ['"b"', '""', '4', '55'], ['"a"', '5', 'null']],
  ['not of an object', object({ a: {}, b: {} }, { not: { required: ['a', 'b'] } }), ['{}', '{"a":1}', '{"b":1}'], ['{"a":1,"b":1}']],
  [
    'if, then, else',
    object(
      { kind: { enum: ['x', 'y'] }, v: {} },
      {
        required: ['kind', 'v'],
        if: { properties: { kind: { const: 'x' } } },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { properties: { v: { type: 'string' } } },
        else: { properties: { v: { type: 'integer' } } },
      },
    ),
    ['{"kind":"x","v":"s"}', '{"kind":"y","v":1}'],
    ['{"kind":"x","v":1}', '{"kind":"y","v":"s"}'],
  ],
  [
    'unevaluated properties',
    { allOf: [conditional], properties: { a: {} }, unevaluatedProperties: false, type: 'object' },
    ['{"a":1,"v":2}', '{"v":2}'],
    ['{"a":1}', '{"v":1,"x":1}'],
  ],
  [
    'unevaluated items',
    { type: 'array', prefixItems: [{}], anyOf: [{ prefixItems: [{}, { const: 1 }] }, true], unevaluatedItems: { type: 'null' } },
    ['[0,1]', '[0,null]', '[0,1,null]'],
    ['[0,2]', '[0,1,2]'],
  ],
  [
    'a recursive reference',
    {
      $defs: { list: object({ next: { anyOf: [{ $ref: '#/$defs/list' }, { type: 'null' }] } }, { required: ['next'] }) },
      $ref: '#/$defs/list',
    },
    ['{"next":null}', '{"next":{"next":null}}'],
    ['{}', '{"next":1}'],
  ],
  [
    'references by name and by base',
    { $id: 'http://example.com/root', $defs: { a: { $id: 'inner', $defs: { b: { $anchor: 'here', type: 'null' } } } }, $ref: 'inner#here' },
    ['null'],
    ['1'],
  ],
  ['a reference beside other keywords', { $defs: { n: { type: 'integer' } }, $ref: '#/$defs/n', minimum: 3 }, ['3'], ['2', '"a"']],
  ['a pointer with escapes', { $defs: { 'a/b~c %': { type: 'null' } }, $ref: '#/$defs/a~1b~0c%20%25' }, ['null'], ['1']],
])('%s', (_, jsonSchema, pass, fail) => {
  const language = compileLanguage({ jsonSchema })
  expect(pass.filter((text) => !accepts(language, text))).toEqual([])
  expect(fail.filter((text) => accepts(language, text))).toEqual([])
})

test.each<[format: string, pass: string[], fail: string[]]>([
  ['date', ['2024-02-29', '1999-12-31', '2000-02-29'], ['2023-02-29', '1900-02-29', '2024-13-01', '2024-04-31', '24-1-1']],
  ['time', ['12:30:00Z', '23:59:59.123+01:00'], ['24:00:00Z', '12:30:00', '12:60:00Z']],
  ['date-time', ['2024-02-29T12:00:00Z'], ['2024-02-30T12:00:00Z', '2024-02-29 12:00:00Z', '2024-02-29T12:00:00']],
  ['duration', ['P1Y', 'PT5M', 'P1Y2M3DT4H5M6S', 'P3W', 'PT36H'], ['P', 'PT', 'P1H', '1Y', 'P1Y2W']],
  ['email', ['a@b.c', 'john.doe+x@example.com'], ['a', 'a@', '@b', 'a b@c', '.a@b']],
  ['hostname', ['example.com', 'a', 'x-y.z'], ['-a', 'a-', 'a..b', '', 'a'.repeat(64)]],
  ['ipv4', ['1.2.3.4', '255.255.255.255'], ['256.1.1.1', '1.2.3', '01.2.3.4']],
  [
    'ipv6',
    ['::', '::1', '1:2:3:4:5:6:7:8', '1::8', '::ffff:1.2.3.4', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8'],
    ['1', '1:2', '1::2::3', ':::', '1:2:3:4:5:6:7:8:9', '12345::'],
  ],
  ['uuid', ['2eb8aa08-aa98-11ea-b4aa-73b441d16380'], ['2eb8aa08aa9811eab4aa73b441d16380', '2eb8aa08-aa98-11ea-b4aa-73b441d1638g']],
  ['uri', ['http://a.b/c?d=e#f', 'urn:x:y', 'mailto:a@b', 'http://[::1]:80/'], ['a', '//a', 'http://a b', '']],
  ['uri-reference', ['a', '/b', '?q', '#f', '//h/p', 'http://x', ''], [':a', 'a b', '\\\\']],
  ['json-pointer', ['', '/a', '/a~0b~1'], ['a', '/~', '/~2']],
  ['relative-json-pointer', ['0', '1/a', '0#'], ['', '01', '-1/a']],
])('the format %s', (format, pass, fail) => {
  const language = compileLanguage({ jsonSchema: { type: 'string', format } })
  expect(pass.filter((text) => !accepts(language, JSON.stringify(text)))).toEqual([])
  expect(fail.filter((text) => accepts(language, JSON.stringify(text)))).toEqual([])
})

test.each<[schema: unknown, code: string, message: string]>([
  [{ properties: { a: { $dynamicRef: '#x' } }, required: ['a'] }, 'UNSUPPORTED', '$dynamicRef at #/properties/a/$dynamicRef'],
  [{ $ref: 'other.json' }, 'UNSUPPORTED', '$ref at #/$ref is "other.json": schemas elsewhere are not fetched'],
  [{ $ref: '#/$defs/a' }, 'OPTION', '$ref at #/$ref is "#/$defs/a", which leads to no schema'],
  [{ $ref: '#' }, 'OPTION', 'the schema at # refers to itself with nothing in between'],
  [{ items: { type: 'strin' } }, 'OPTION', 'type at #/items/type is "strin"'],
  [{ anyOf: [{ requred: [] }] }, 'OPTION', 'requred at #/anyOf/0/requred is not a keyword of JSON Schema'],
  [{ type: 'array', items: [{}] }, 'OPTION', 'the schema at #/items is a list'],
  [{ enum: ['', Infinity, null] }, 'OPTION', 'enum at #/enum has the number Infinity, expected a finite one'],
  [{ not: { const: -Infinity } }, 'OPTION', 'const at #/not/const has the number -Infinity'],
  [{ maximum: Infinity }, 'OPTION', 'maximum at #/maximum is Infinity, expected a number'],
  [{ minLength: -1 }, 'OPTION', 'minLength at #/minLength is -1, expected a whole number from 0'],
  [{ maximum: '5' }, 'OPTION', 'maximum at #/maximum is "5", expected a number'],
  [{ multipleOf: 0 }, 'OPTION', 'multipleOf at #/multipleOf is 0'],
  [{ required: 'a' }, 'OPTION', 'required at #/required is "a", expected a list of strings'],
  [{ anyOf: [] }, 'OPTION', 'anyOf at #/anyOf'],
  [{ properties: [] }, 'OPTION', 'properties at #/properties is a list'],
  [{ pattern: '(?=a)' }, 'UNSUPPORTED', 'pattern at #/pattern'],
  [{ patternProperties: { '[': {} } }, 'OPTION', 'patternProperties at #/patternProperties'],
  [{ format: 'idn-email' }, 'UNSUPPORTED', 'the format "idn-email", expected one of date'],
  [{ type: 'array', uniqueItems: true }, 'UNSUPPORTED', 'uniqueItems at #/uniqueItems'],
  [{ type: 'object', minProperties: 2 }, 'UNSUPPORTED', 'minProperties at #/minProperties'],
  [{ not: { additionalProperties: false } }, 'UNSUPPORTED', 'additionalProperties at #/not/additionalProperties'],
  [{ contains: {}, unevaluatedItems: false }, 'UNSUPPORTED', 'unevaluatedItems at #/unevaluatedItems'],
  [{ dependentRequired: { a: 'b' } }, 'OPTION', 'dependentRequired at #/dependentRequired'],
  [{ properties: { '#a': { maxItems: -1 } }, required: ['#a'] }, 'OPTION', 'maxItems at #/properties/#a/maxItems'],
  [{ not: { const: {} } }, 'UNSUPPORTED', 'additionalProperties at #/not/const/additionalProperties'],
  [
    { oneOf: [{ required: ['a'] }, { type: 'object', additionalProperties: false }, { required: ['b'], propertyNames: { maxLength: 2 } }] },
    'UNSUPPORTED',
    'oneOf at #/oneOf is not supported: two branches may both hold',
  ],
  [{ dependencies: {} }, 'UNSUPPORTED', 'dependencies at #/dependencies'],
  [{ $schema: 'http://example.com/mine' }, 'UNSUPPORTED', '$schema at #/$schema'],
  [
    { allOf: Array.from({ length: 12 }, (_, i) => ({ anyOf: [{ required: [`a${i}`] }, { required: [`b${i}`] }] })) },
    'UNSUPPORTED',
    'allOf at #/allOf',
  ],
  [false, 'OPTION', 'the JSON Schema matches no text'],
  [{ type: 'string', const: 1 }, 'OPTION', 'matches no text'],
  [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, 'OPTION', 'matches no text'],
  ['{}', 'OPTION', 'the schema at # is a string'],
  [null, 'OPTION', 'the schema at # is null'],
])('the schema %j is refused: %s, %s', (jsonSchema, code, message) => {
  expect(() => compileLanguage({ jsonSchema })).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }))
})

test.each(['int64', 'int32', 'float', 'double', 'byte', 'binary', 'password', 'color'])('the format %s is an annotation', (format) => {
  const language = compileLanguage({ jsonSchema: { type: ['integer', 'string'], format } })
  expect(['1', '"x y"', '""', '1.5', 'null'].map((text) => accepts(language, text))).toEqual([true, true, true, false, false])
  expect(() => compileLanguage({ jsonSchema: { not: { format } } })).toThrow('matches no text')
})

test('annotations are ignored', () => {
  const notes = {
    title: 't',
    description: 'd',
    default: 1,
    examples: [1],
    deprecated: true,
    readOnly: true,
    $comment: 'c',
    contentEncoding: 'base64',
    'x-order': 1,
    nullable: true,
    example: 1,
    enumNames: ['a'],
    markdownDescription: 'm',
    propertyOrdering: ['a'],
    errorMessage: 'e',
  }
  const language = compileLanguage({ jsonSchema: { ...notes, type: 'null', $schema: 'https://json-schema.org/draft/2020-12/schema' } })
  expect(accepts(language, 'null')).toBe(true)
})

test.each([
  [
    'flexible',
    ['{"a":[1,2]}', '{"a": [1, 2]}', '{\n  "a": [\n    1,\n    2\n  ]\n}', '{ "a": [ 1,2 ] }'],
    ['{"a" :[1,2]}', '{"a":  [1,2]}', '{"a":[1 ,2]}', '\n{"a":[1,2]}', '{"a":[1,2]}\n', `{\n${' '.repeat(21)}"a":[1,2]}`],
  ],
  ['compact', ['{"a":[1,2]}'], ['{"a": [1,2]}', '{"a":[1, 2]}', '{ "a":[1,2]}']],
  ['spaced', ['{"a": [1, 2]}'], ['{"a":[1, 2]}', '{"a": [1,2]}', '{ "a": [1, 2]}']],
] as const)('white space is bounded: %s', (spacing, pass, fail) => {
  const jsonSchema = object({ a: { type: 'array', items: { type: 'integer' } } })
  const language = compileLanguage({ jsonSchema, spacing })
  expect(pass.filter((text) => !accepts(language, text))).toEqual([])
  expect(fail.filter((text) => accepts(language, text))).toEqual([])
})

test.each([
  [{}, 'the constraint has none of grammar, regex, jsonSchema and json, expected one'],
  [{ regex: 'a', json: true }, 'the constraint has regex and json of'],
  [{ regex: 5 }, 'regex is a number, expected a string'],
  [{ json: false }, 'json is false, expected true'],
  [{ json: true, spacing: 'wide' }, 'spacing is "wide"'],
])('the constraint %j is refused', (spec, message) => {
  expect(() => compileLanguage(spec as never)).toThrow(
    expect.objectContaining({ code: 'OPTION', message: expect.stringContaining(message) }),
  )
})

test.each<[name: string, schema: object, pass: string[], fail: string[]]>([
  ['uniqueItems', { type: 'array', items: { type: 'integer' }, uniqueItems: true, maxItems: 2 }, ['[1, 1]', '[]'], ['[1, 2, 3]', '["a"]']],
  ['a pattern with look-around', { type: 'string', pattern: '^(?!a)b', maxLength: 2 }, ['"a"'], ['"abc"', '1']],
  [
    "pydantic's Decimal",
    { anyOf: [{ type: 'number' }, { type: 'string', pattern: '^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$' }] },
    ['1.5', '"1.5"', '"x"'],
    ['null', '[]'],
  ],
  ['a format of the draft', { type: 'string', format: 'idn-email' }, ['"a"'], ['1']],
  ['an emoji', { type: 'string', format: 'emoji', pattern: '^(\\p{Extended_Pictographic})+$' }, ['"a"'], ['1']],
  [
    'a reference elsewhere',
    object({ a: { $ref: 'https://example.org/a' }, b: { type: 'null' } }),
    ['{"a": [1], "b": null}'],
    ['{"b": 1}', '{"c": 1}'],
  ],
  ['a negation', { not: { type: 'array', uniqueItems: true } }, ['1', '[]'], []],
  ['a branch of oneOf', { oneOf: [{ type: 'string', pattern: '(?=a)a' }, { type: 'null' }] }, ['"b"', 'null'], ['1']],
  [
    'minProperties',
    { type: 'object', properties: { a: { const: 1 } }, minProperties: 4 },
    ['{"a": 1, "b": 2}'],
    ['{}', '{"a": 2, "b": 1}'],
  ],
  [
    'an older draft',
    { type: 'object', properties: { a: { type: 'null' } }, dependencies: {}, additionalProperties: false },
    ['{"a": null}'],
    ['{"a": 1}'],
  ],
  [
    'a pattern of names',
    object({ a: { type: 'null' } }, { patternProperties: { '(?=x)': { type: 'null' } } }),
    ['{"a": null, "b": 1}'],
    ['{"a": 1}'],
  ],
])('leniently, %s is left out, and nothing else', (_, schema, pass, fail) => {
  expect(() => compileLanguage({ jsonSchema: schema })).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
  const language = compileLanguage({ compose: (grammar) => schemaExpression(grammar, schema, 'flexible', true) })
  for (const text of pass) expect([text, accepts(language, text)]).toEqual([text, true])
  for (const text of fail) expect([text, accepts(language, text)]).toEqual([text, false])
})
