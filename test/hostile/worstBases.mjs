// What the search for worst cases blows up, by kind: `first` is the kind's first byte.

import { jsonBases } from './kinds/checkpoints.mjs'
import { grammars, patterns, schemas } from './kinds/constraints.mjs'
import { plans } from './kinds/gguf.mjs'
import { layerTexts, list, manifest, tags } from './kinds/hubs.mjs'
import { log, record } from './kinds/stores.mjs'
import { goWords, jinjaWords } from './kinds/templates.mjs'
import { goTemplates, jinjaTemplates } from './templates.mjs'

const json = (base, first) => ({ kind: 'json', base, first })
const text = (base, first) => ({ kind: 'text', base, first })
const sourceOf = ({ source }) => source

export const seedsOfPumps = {
  gguf: plans.map((base) => ({ kind: 'header', base })),
  configurations: jsonBases(['config.json', 'model.safetensors.index.json', 'tokenizer_config.json', 'generation_config.json']).map(
    (each) => json(...each),
  ),
  'tokenizer-json': jsonBases(['tokenizer.json', 'tokenizer.json', 'added_tokens.json']).map((each) => json(...each)),
  manifests: [json(manifest)],
  layers: [json(JSON.parse(layerTexts.params), 0), json(JSON.parse(layerTexts.messages), 1)],
  'file-lists': tags.map((_, n) => json(list, n)),
  logs: [text(log), text(`${log}${Array.from({ length: 9 }, (_, n) => `${n * 2} 1\n`).join('')}`)],
  records: [json(record)],
  jinja: [...Object.values(jinjaTemplates).map(sourceOf), jinjaWords.join('')].map((source) => text(source)),
  go: [...Object.values(goTemplates).map(sourceOf), goWords.join('')].map((source) => text(source)),
  schemas: schemas.map((schema) => json(schema)),
  grammars: grammars.map((grammar) => text(grammar)),
  patterns: patterns.map((pattern) => text(pattern)),
}
