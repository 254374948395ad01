// GET /v1/models: the models that may be asked for, as OpenAI's clients know them, with what llama-server adds, and as
// those of Anthropic's API, which name its version in a header, do. All models are on one page.

import { CAPABILITIES, detailsOf } from '../ollama/models.js'
import type { OfferedModel } from './modelHost.js'

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

/** What Anthropic's clients are known by. */
export const VERSION_HEADER = 'anthropic-version'

export function anthropicModel({ name, created }: OfferedModel): object {
  return { type: 'model', id: name, display_name: name, created_at: new Date(created * 1000).toISOString() }
}

export function anthropicModels(offered: readonly OfferedModel[]): object {
  const [first, last] = [offered[0]?.name ?? null, offered.at(-1)?.name ?? null]
  return { data: offered.map(anthropicModel), has_more: false, first_id: first, last_id: last }
}
