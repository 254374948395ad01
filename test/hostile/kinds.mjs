// The kinds of inputs: each makes a damaged one of a seed, as bytes, and uses it as the program does. `use` returns
// where the input is taken, throws a MixtralError where it is refused, and anything else is a fault.

import { adapters } from './kinds/adapters.mjs'
import { batchInputs, batchResults, queueChunks } from './kinds/batches.mjs'
import { configurations, safetensorsFiles, sentencePieceModels, tokenizerFiles } from './kinds/checkpoints.mjs'
import { grammarTexts, patternTexts, schemaTexts } from './kinds/constraints.mjs'
import { gguf, shardSets } from './kinds/gguf.mjs'
import { fileLists, layers, manifests, names } from './kinds/hubs.mjs'
import { requests } from './kinds/requests.mjs'
import { restores } from './kinds/restores.mjs'
import { serviceRecords, services, uploads } from './kinds/services.mjs'
import { importances, logs, records, sessions, storedLogits } from './kinds/stores.mjs'
import { journals, parquetFiles, taskFiles } from './kinds/tasks.mjs'
import { go, jinja } from './kinds/templates.mjs'
import { tensors } from './kinds/tensors.mjs'
import { vocabularies } from './kinds/vocabularies.mjs'

/** `share`: how many inputs of this kind are tried, beside the others. */
const list = [
  ...[gguf, shardSets, tensors, safetensorsFiles, configurations, tokenizerFiles, sentencePieceModels, vocabularies, adapters],
  ...[manifests, layers, fileLists, names, logs, records, sessions, restores, storedLogits, importances, jinja, go],
  ...[schemaTexts, grammarTexts, patternTexts, requests, services, uploads, serviceRecords],
  ...[batchInputs, batchResults, queueChunks, taskFiles, parquetFiles, journals],
]

export const kinds = new Map(list.map((kind) => [kind.name, kind]))
