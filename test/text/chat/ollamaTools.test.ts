// Tools in Ollama's templates: the members and the order of Ollama's structures, as Go's encoding/json writes them
// (template/template.go and api/types.go of Ollama).

import { expect, test } from 'vitest'
import { OllamaTemplate } from '../../../dist/text/chat/ollamaTemplate.js'
import { checkTools } from '../../../dist/text/tools/toolDefinitions.js'

const rendered = (source: string, definition: object) => {
  const { tools } = checkTools({ tools: [{ type: 'function', function: { name: 'get', ...definition } }] })!
  const turns = [{ role: 'user', content: 'hi', calls: [] }] as const
  return new OllamaTemplate(`${source}{{ range .Messages }}{{ end }}`).render(turns, tools, 1000).value
}
const parametersOf = (parameters: object) => {
  const text = rendered('{{ .Tools }}', { parameters })
  const start = '[{"type":"function","function":{"name":"get","description":"","parameters":'
  expect(text.startsWith(start) && text.endsWith('}}]')).toBe(true)
  return text.slice(start.length, -3)
}

test('a tool has type and function, and a function name, description and parameters, in this order', () => {
  const parameters = { properties: {}, type: 'object' }
  expect(rendered('{{ .Tools }}', { parameters, strict: true, description: 'a <b>' })).toBe(
    '[{"type":"function","function":{"name":"get","description":"a \\u003cb\\u003e","parameters":{"type":"object","properties":{}}}}]',
  )
  expect(rendered('{{ range .Tools }}{{ . }}{{ end }}', {})).toBe(
    '{"type":"function","function":{"name":"get","description":"","parameters":{"type":"object","properties":{}}}}',
  )
})

test.each<[what: string, parameters: object, text: string]>([
  [
    'required before properties, properties by name',
    { properties: { b: { type: 'string' }, a: { type: 'integer' }, 10: {}, 9: {} }, required: ['b'], type: 'object' },
    '{"type":"object","required":["b"],"properties":{"10":{},"9":{},"a":{"type":"integer"},"b":{"type":"string"}}}',
  ],
  [
    'members of a property',
    {
      type: 'object',
      properties: { a: { enum: ['x', 1, 1.5], description: 'D', items: { type: 'string', a: 1 }, type: ['string', 'null'] } },
    },
    '{"type":"object","properties":{"a":{"type":["string","null"],"items":{"a":1,"type":"string"},"description":"D","enum":["x",1,1.5]}}}',
  ],
  [
    'a type in a list of one, and empty members',
    { type: 'object', required: [], properties: { a: { type: ['string'], description: '', enum: [], anyOf: [] } } },
    '{"type":"object","properties":{"a":{"type":"string"}}}',
  ],
  [
    'alternatives, and properties of a property, which stay in order',
    {
      type: 'object',
      properties: { a: { anyOf: [{ description: 'x', type: 'string' }, {}], properties: { d: {}, c: { enum: [true] } } } },
    },
    '{"type":"object","properties":{"a":{"anyOf":[{"type":"string","description":"x"},{}],"properties":{"d":{},"c":{"enum":[true]}}}}}',
  ],
  [
    'definitions, and no other keywords',
    {
      $schema: 's',
      title: 't',
      type: 'object',
      additionalProperties: false,
      $defs: { b: 1, a: { z: 1, y: 2 } },
      properties: { a: { minimum: 3, default: 1, title: 't' } },
    },
    '{"type":"object","$defs":{"a":{"y":2,"z":1},"b":1},"properties":{"a":{}}}',
  ],
  ['no properties', { type: 'object' }, '{"type":"object","properties":null}'],
  ['no type', { properties: {} }, '{"type":"","properties":{}}'],
])('a schema: %s', (_, parameters, text) => {
  expect(parametersOf(parameters)).toBe(text)
})

test.each<[source: string, text: string]>([
  ['{{ range .Tools }}{{ .Type }} {{ .Function.Name }}: {{ .Function.Description }}{{ end }}', 'function get: D'],
  [
    '{{ range .Tools }}{{ range $k, $v := .Function.Parameters.Properties }}{{ $k }}={{ $v.Type }},{{ end }}{{ end }}',
    'a=[string null],b=string,',
  ],
  ['{{ range .Tools }}{{ range .Function.Parameters.Required }}<{{ . }}>{{ end }}{{ end }}', '<b>'],
  ['{{ range .Tools }}{{ range .Function.Parameters.Properties }}{{ .Enum }}{{ end }}{{ end }}', '[1 2.5 1e+06]'],
  ['{{ if .Think }}a{{ else if not .IsThinkSet }}b{{ end }}{{ eq .Think false }}', 'btrue'],
])('fields: %s', (source, text) => {
  const properties = { b: { type: 'string' }, a: { type: ['string', 'null'], enum: [1, 2.5, 1e6] } }
  expect(rendered(source, { description: 'D', parameters: { type: 'object', properties, required: ['b'] } })).toBe(text)
})
