// GET /v1/models: the one model that is served, with what llama-server adds.

import type { ServedModel } from '../servedModel.js'

export function modelObject({ model, name, aliases, created, bytes }: ServedModel): object {
  const { config, contextLength, gguf } = model
  let weights = 0
  for (const { shape } of gguf.tensors.values()) weights += shape.reduce((product, dimension) => product * dimension, 1)
  const meta = {
    n_ctx: contextLength,
    n_ctx_train: config.maxPositions,
    n_embd: config.hiddenSize,
    n_layer: config.layers,
    n_expert: config.experts,
    n_expert_used: config.expertsPerToken,
    n_vocab: config.vocabSize,
    n_params: weights,
    size: bytes,
  }
  return { id: name, object: 'model', created, owned_by: 'mixtral-wasm', aliases, meta }
}

export function modelList(served: ServedModel): object {
  return { object: 'list', data: [modelObject(served)] }
}
