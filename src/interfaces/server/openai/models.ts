// GET /v1/models: the models that may be asked for, with what llama-server adds.

import type { OfferedModel } from '../models/modelHost.js'
import { CAPABILITIES, detailsOf } from '../ollama/models.js'

export function modelObject({ name, aliases, created, bytes, contextLength, summary }: OfferedModel): object {
  const meta = {
    ...(contextLength !== undefined && { n_ctx: contextLength }),
    n_ctx_train: summary.trainedContext,
    n_embd: summary.hiddenSize,
    n_layer: summary.layers,
    n_expert: summary.experts,
    n_expert_used: summary.expertsPerToken,
    n_vocab: summary.vocabSize,
    n_params: summary.weights,
    size: bytes,
  }
  const most = contextLength !== undefined && { max_model_len: contextLength } // vLLM's name
  return { id: name, object: 'model', created, owned_by: 'mixtral-wasm', aliases, ...most, meta }
}

/** With `models`, where llama-server has what Ollama's list has. */
export function modelList(offered: readonly OfferedModel[]): object {
  return { object: 'list', data: offered.map(modelObject), models: offered.map(listedModel) }
}

function listedModel({ name, created, bytes, summary }: OfferedModel): object {
  return {
    ...{ name, model: name, modified_at: new Date(created * 1000).toISOString(), size: bytes, type: 'model' },
    capabilities: CAPABILITIES,
    details: detailsOf(summary),
  }
}
