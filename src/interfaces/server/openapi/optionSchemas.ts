// The options of a generation, as JSON Schema for a document: one property for each name that an API has.

import type { OptionRow } from '../../../runtime/sampler/optionRow.js'
import { generationTable } from '../../../text/generate/generationTable.js'

export type Program = 'openai' | 'llama' | 'ollama'

type Schema = Readonly<Record<string, unknown>>

const list = (items: Schema): Schema => ({ type: 'array', items })
const text: Schema = { type: 'string' }
const id: Schema = { type: 'integer', minimum: 0 }

/** Their names and ranges differ from route to route: they are in the schema of each. */
const ELSEWHERE = ['logprobs', 'maxNewTokens']
/** In Ollama's API, a number of any size means something. */
const NUMBERS: readonly OptionRow['kind'][] = ['number', 'whole']
/** What an answer is to follow, beside the options of the table. */
const FORMATS = {
  response_format: { description: 'text, json_object, or json_schema', type: ['object', 'null'] },
  regex: { description: 'write only what this regular expression matches as a whole', type: ['string', 'null'] },
  lora: { description: 'adapters of the model by number, each with a scale; the others count nothing', type: ['array', 'null'] },
  structured_outputs: { description: "vLLM's: one of json, json_object, regex, choice and grammar", type: ['object', 'null'] },
}

/** The properties of all options that one of the programs has. Null means not given. */
export function optionProperties(programs: readonly Program[]): Record<string, Schema> {
  const properties: Record<string, Schema> = programs.includes('ollama') ? {} : { ...FORMATS }
  for (const [own, row] of Object.entries(generationTable)) {
    if (!programs.includes('ollama') && ELSEWHERE.includes(own)) continue
    for (const program of programs) {
      const name = row[program]
      if (name === undefined || properties[name]) continue
      const schemas = program === 'ollama' && NUMBERS.includes(row.kind) ? [{ type: 'number' }] : schemasOf(row)
      properties[name] = { description: row.help, anyOf: [...schemas, { type: 'null' }] }
    }
  }
  return properties
}

function schemasOf(row: OptionRow): readonly Schema[] {
  const { kind, least, most } = row
  const range = {
    ...(least !== undefined && { minimum: least }),
    ...(most !== undefined && { maximum: most }),
  }
  if (kind === 'number') return [{ type: 'number', ...range }]
  if (kind === 'whole') return [{ type: 'integer', ...wider(row, range) }]
  if (kind === 'switch') return [{ type: 'boolean' }]
  if (kind === 'text' || kind === 'grammar') return [text]
  if (kind === 'texts') return [text, list(text)]
  if (kind === 'tokens') return [list(id)]
  if (kind === 'steps') return [list(text)]
  if (kind === 'schema') return [{ type: 'object' }, { type: 'boolean' }]
  const bias: Schema = { anyOf: [{ type: 'number' }, { const: false }] }
  return [
    { type: 'object', additionalProperties: bias },
    list({ type: 'array', prefixItems: [{ anyOf: [text, id] }, bias], minItems: 2, maxItems: 2 }),
  ]
}

/** In requests, a limit or a seed may be negative: then there is none. So may top_k. */
function wider({ llama }: OptionRow, range: Schema): Schema {
  if (llama === 'seed' || llama === 'top_k') return {}
  return llama === 'n_predict' ? { minimum: -2 } : range
}
