// node bench/constraint.mjs [--rounds N] [--json]
// What a mask costs on the real vocabulary of Mistral and Mixtral (32,000 tokens, from mistral-tokenizer-js): in
// strings, structure, numbers, patterns, grammars and calls. Each round compiles anew and follows a document token by token.
// Before anything is timed, masks are compared with the tokens that are allowed one by one, and each document must come
// to its end. Times are CPU time of the process, so that other programs on the machine count less. `worst` is the token
// whose median over the rounds is highest, `peak` the highest single time: collected garbage and other programs are in
// it.

import { readFileSync } from 'node:fs'
import mistral from 'mistral-tokenizer-js'
import { Constraint } from '../dist/text/constraint/constraint.js'
import { TokenTrie } from '../dist/text/constraint/tokenTrie.js'
import { Tokenizer } from '../dist/text/tokenizer/tokenizer.js'
import { callExpression } from '../dist/text/tools/callGrammar.js'
import { checkTools } from '../dist/text/tools/toolDefinitions.js'
import { readCommandLine } from './commandLine.mjs'

const { values } = readCommandLine(import.meta.url, { rounds: { type: 'string' }, json: { type: 'boolean' } })
const rounds = Number(values.rounds ?? 20)

const story =
  'Ada Lovelace wrote notes on the Analytical Engine in 1843, \\"the first program\\".\\nShe was 27 – naïve, perhaps, but no dreamer. '
const person = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 80 },
    age: { type: 'integer', minimum: 0, maximum: 150 },
    email: { type: 'string', pattern: '^[a-z0-9._]+@[a-z0-9]+\\.[a-z]{2,4}$' },
    tags: { type: 'array', items: { type: 'string' }, maxItems: 8 },
    kind: { enum: ['mathematician', 'engineer', 'poet'] },
  },
  required: ['name', 'age', 'email', 'kind'],
  additionalProperties: false,
}
const flags = Object.fromEntries(['active', 'verified', 'archived', 'visible', 'pinned'].map((name) => [name, { type: 'boolean' }]))
const parameters = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city'] }
const tools = checkTools({
  tools: ['get_weather', 'get_time', 'find'].map((name) => ({ type: 'function', function: { name, parameters } })),
})
/** Calls as Hermes models write them, which may follow a text. */
const hermes = {
  open: ['<tool_call>\n{"name": "'],
  middle: ['", "arguments": '],
  between: ['}\n</tool_call>\n<tool_call>\n{"name": "'],
  close: ['}\n</tool_call>'],
  trigger: '<tool_call>',
  texts: 'before',
}
const calls = { compose: (grammar) => callExpression(grammar, { format: hermes, tools, idOf: String }) }
const jsonGrammar = readFileSync(new URL('../test/text/constraint/json.gbnf', import.meta.url), 'utf8')

const cases = [
  { name: 'JSON string', spec: { jsonSchema: { type: 'string' } }, text: `"${story.repeat(3)}"` },
  { name: 'string, maxLength 1000', spec: { jsonSchema: { type: 'string', maxLength: 1000 } }, text: `"${story.repeat(3)}"` },
  {
    name: 'structure',
    spec: {
      jsonSchema: {
        type: 'array',
        items: { type: 'object', properties: flags, required: Object.keys(flags), additionalProperties: false },
      },
    },
    text: JSON.stringify(
      Array.from({ length: 8 }, () => Object.fromEntries(Object.keys(flags).map((name, i) => [name, i % 2 === 0]))),
      null,
      2,
    ),
  },
  {
    name: 'numbers',
    spec: { jsonSchema: { type: 'array', items: { type: 'number' } } },
    text: '[3.14159, -2, 0, 65536, 1.5e-3, 299792458, 0.007, 12345.678, -40]',
  },
  {
    name: 'numbers in bounds',
    spec: { jsonSchema: { type: 'array', items: { type: 'number', minimum: -50, maximum: 5000, multipleOf: 0.01 } } },
    text: '[3.14, -2, 0, 4999.99, 0.07, -49.5, 1234.56, 12.3]',
  },
  {
    name: 'pattern',
    spec: { regex: '([A-Z][a-z]+ ){1,40}#[0-9a-f]{6}(-[0-9]{2,4})*' },
    text: 'Every Good Boy Deserves Fudge And Some More #a0b1c2-12-3456-78',
  },
  {
    name: 'pattern in JSON, lengths',
    spec: { jsonSchema: { type: 'string', pattern: '^[a-z]+(-[a-z]+)*$', minLength: 8, maxLength: 80 } },
    text: '"a-slug-of-some-words-as-they-stand-in-addresses-of-pages"',
  },
  {
    name: 'record',
    spec: { jsonSchema: person },
    text: '{"name": "Ada Lovelace", "age": 36, "email": "ada.l@example.com", "tags": ["notes", "engine of 1843"], "kind": "mathematician"}',
  },
  {
    name: 'any JSON',
    spec: { json: true },
    text: '{"a": [1, 2.5, {"b": null}], "text": "to be or not", "deep": [[[["x"]]]], "list": [true, false]}',
  },
  {
    name: 'text, then a call',
    spec: calls,
    text: 'Let me look at < that: I ask for <the> weather.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n</tool_call>',
  },
  {
    name: 'JSON as GBNF',
    spec: { grammar: jsonGrammar },
    text: '{"a": [1, 2.5, {"b": null}], "text": "to be or not", "deep": [[[["x"]]]], "list": [true, false]}',
  },
]

const tokenizer = Tokenizer.fromGgufMetadata(vocabulary())
const [trie, trieMs] = timed(() => new TokenTrie(tokenizer))
for (const { spec, text } of cases) verify(spec, text)

const rows = cases.map(({ name, spec, text }) => {
  const compiles = []
  const firsts = []
  /** (tokens after the first, rounds) */
  const masks = []
  for (let round = 0; round < rounds; round++) {
    const [constraint, compileMs] = timed(() => new Constraint(spec, trie))
    compiles.push(compileMs)
    const state = constraint.start(true)
    const mask = new Uint32Array(Math.ceil(trie.vocabSize / 32))
    tokenizer.encode(text, { addBos: false }).forEach((id, i) => {
      const [, ms] = timed(() => state.mask(mask))
      if (i === 0) firsts.push(compileMs + ms)
      else {
        masks[i - 1] ??= []
        masks[i - 1].push(ms)
      }
      state.accept(id)
    })
  }
  const all = masks.flat()
  const mean = all.reduce((sum, ms) => sum + ms, 0) / all.length
  return {
    name,
    compile: median(compiles),
    first: median(firsts),
    mean,
    median: median(all),
    worst: Math.max(...masks.map(median)),
    peak: Math.max(...all),
  }
})

if (values.json) console.log(JSON.stringify({ trieMs, rows }))
else {
  console.log(`tree of the vocabulary: ${trie.byteOf.length} nodes in ${trieMs.toFixed(0)} ms; ${rounds} rounds, milliseconds of CPU\n`)
  console.log(`${'case'.padEnd(26)}${['compile', '+ first', 'mean', 'median', 'worst', 'peak'].map((head) => head.padStart(9)).join('')}`)
  for (const { name, ...numbers } of rows) {
    console.log(
      `${name.padEnd(26)}${Object.values(numbers)
        .map((ms) => ms.toFixed(3).padStart(9))
        .join('')}`,
    )
  }
}

/**
 * Throws where a mask and the tokens allowed one by one are not the same, at every eighth token, or where the text does
 * not come to its end.
 */
function verify(spec, text) {
  const state = new Constraint(spec, trie).start(true)
  const ids = [...tokenizer.encode(text, { addBos: false }), tokenizer.eosId]
  for (const [i, id] of ids.entries()) {
    if (i % 8 === 0 || i === ids.length - 1) {
      const mask = state.mask()
      for (let other = 0; other < trie.vocabSize; other++) {
        const isSet = ((mask[other >>> 5] >>> (other & 31)) & 1) === 1
        if (isSet !== state.allows(other)) throw new Error(`token ${other} after ${i} tokens of ${text}: ${isSet} in the mask`)
      }
    }
    state.accept(id)
  }
}

function timed(run) {
  const before = process.cpuUsage()
  const result = run()
  const { user, system } = process.cpuUsage(before)
  return [result, (user + system) / 1000]
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]
}

/** The vocabulary as a GGUF file has it: a piece's score is minus the place of the first merge that makes it. */
function vocabulary() {
  const place = new Map()
  for (const [cut, priority] of mistral.merges) {
    const piece = cut.replace(' ', '')
    place.set(piece, Math.min(priority, place.get(piece) ?? Infinity))
  }
  const types = mistral.vocabById.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))
  return new Map([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', mistral.vocabById],
    ['tokenizer.ggml.scores', mistral.vocabById.map((piece) => -(place.get(piece) ?? 0))],
    ['tokenizer.ggml.token_type', types],
  ])
}
