// What the search for worst cases blows up, by kind: `wrap` makes a blown up part the input of its kind.

import { config as adapterConfig } from './kinds/adapters.mjs'
import { lines as batchLines, chunk } from './kinds/batches.mjs'
import { jsonBases, tail as pieceTail } from './kinds/checkpoints.mjs'
import { grammars, patterns, schemas } from './kinds/constraints.mjs'
import { plans } from './kinds/gguf.mjs'
import { layerTexts, list, manifest, modelNames, tags } from './kinds/hubs.mjs'
import { contentType, form, records as serviceRecords } from './kinds/services.mjs'
import { log, record } from './kinds/stores.mjs'
import { journal, rows } from './kinds/tasks.mjs'
import { goWords, jinjaWords } from './kinds/templates.mjs'
import { goTemplates, jinjaTemplates } from './templates.mjs'
import { vocabularyMetadata } from './tinyModel.mjs'

/** Behind the kind's first byte. */
const behind = (first) => first !== undefined && { wrap: (pumped) => Buffer.concat([Uint8Array.of(first), pumped]) }
const json = (base, first) => ({ kind: 'json', base, ...behind(first) })
const text = (base, first) => ({ kind: 'text', base, ...behind(first) })
const sourceOf = ({ source }) => source
const linesOf = (all) => all.map((line) => `${JSON.stringify(line)}\n`).join('')

/** A header of safetensors, and zeros for data. */
const weights = (header) => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, new Uint8Array(1000)])
}
const empty = { dtype: 'F32', shape: [0], data_offsets: [0, 0] }
const tensorHeaders = [
  { a: { dtype: 'F32', shape: [250], data_offsets: [0, 1000] }, b: empty },
  { __metadata__: { format: 'pt' }, 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight': empty },
]

const imatrix = {
  metadata: [
    ['general.type', 'string', 'imatrix'],
    ['imatrix.datasets', 'array<string>', ['a']],
    ['imatrix.chunk_count', 'uint32', 2],
    ['imatrix.chunk_size', 'uint32', 16],
  ],
  tensors: ['in_sum2', 'counts'].map((end) => ({ ...plans[0].tensors[0], name: `blk.0.ffn_up_exps.weight.${end}`, shape: [1] })),
}

export const seedsOfPumps = {
  gguf: plans.map((base) => ({ kind: 'header', base })),
  safetensors: tensorHeaders.map((base) => ({ kind: 'json', base, wrap: weights })),
  configurations: jsonBases(['config.json', 'model.safetensors.index.json', 'tokenizer_config.json', 'generation_config.json']).map(
    (each) => json(...each),
  ),
  'tokenizer-json': jsonBases(['tokenizer.json', 'tokenizer.json', 'added_tokens.json']).map((each) => json(...each)),
  sentencepiece: [{ kind: 'pieces', base: pieceTail }],
  vocabularies: [json(Object.fromEntries(vocabularyMetadata().map(([key, , value]) => [key, value])))],
  adapters: [
    json(adapterConfig, 1),
    ...tensorHeaders.map((base) => ({ kind: 'json', base, wrap: (header) => behind(2).wrap(weights(header)) })),
  ],
  importances: [{ kind: 'file', base: imatrix, ...behind(0) }],
  manifests: [json(manifest)],
  layers: [json(JSON.parse(layerTexts.params), 0), json(JSON.parse(layerTexts.messages), 1)],
  'file-lists': tags.map((_, n) => json(list, n)),
  names: modelNames.map((name) => text(name)),
  logs: [text(log), text(`${log}${Array.from({ length: 9 }, (_, n) => `${n * 2} 1\n`).join('')}`)],
  records: [json(record)],
  jinja: [...Object.values(jinjaTemplates).map(sourceOf), jinjaWords.join('')].map((source) => text(source)),
  go: [...Object.values(goTemplates).map(sourceOf), goWords.join('')].map((source) => text(source)),
  schemas: schemas.map((schema) => json(schema)),
  grammars: grammars.map((grammar) => text(grammar)),
  patterns: patterns.map((pattern) => text(pattern)),
  uploads: [{ kind: 'text', base: form, wrap: (body) => Buffer.concat([Buffer.from(`\0${contentType}\n`), body]) }],
  'service-records': serviceRecords.map((base, n) => json(base, n)),
  'batch-inputs': [text(linesOf(batchLines))],
  'queue-chunks': [json(chunk)],
  'task-files': Object.values(rows).map((row, n) => text(linesOf([row, row]), n)),
  journals: [text(journal)],
}
