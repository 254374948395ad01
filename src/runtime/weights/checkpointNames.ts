// The names of a Mixtral's tensors in a checkpoint, in the two namings that exist: transformers' and Mistral AI's own.
// What reads checkpoints or adapters to them takes the names from here. Knows no file.

import type { ExpertRole, LayerRole, ModelRole } from './roles.js'

/** The names of a checkpoint's tensors. */
export interface SourceNames {
  readonly model: Readonly<Record<ModelRole, string>>
  /** What the names of a layer's tensors begin with. */
  readonly layer: (layer: number) => string
  /** The rest of their names: the first that is there counts. */
  readonly inLayer: Readonly<Record<LayerRole, readonly [string, ...string[]]>>
  readonly expert: (expert: number, matrix: 'w1' | 'w2' | 'w3') => string
}

/** transformers' names. */
export const huggingFace: SourceNames = {
  model: { tokenEmbd: 'model.embed_tokens.weight', outputNorm: 'model.norm.weight', output: 'lm_head.weight' },
  layer: (layer) => `model.layers.${layer}.`,
  inLayer: {
    attnNorm: ['input_layernorm.weight'],
    attnQ: ['self_attn.q_proj.weight'],
    attnK: ['self_attn.k_proj.weight'],
    attnV: ['self_attn.v_proj.weight'],
    attnOutput: ['self_attn.o_proj.weight'],
    ffnNorm: ['post_attention_layernorm.weight'],
    ffnGateInp: ['block_sparse_moe.gate.weight', 'mlp.gate.weight'],
  },
  expert: (expert, matrix) => `block_sparse_moe.experts.${expert}.${matrix}.weight`,
}

/** Mistral AI's own names. */
export const consolidated: SourceNames = {
  model: { tokenEmbd: 'tok_embeddings.weight', outputNorm: 'norm.weight', output: 'output.weight' },
  layer: (layer) => `layers.${layer}.`,
  inLayer: {
    attnNorm: ['attention_norm.weight'],
    attnQ: ['attention.wq.weight'],
    attnK: ['attention.wk.weight'],
    attnV: ['attention.wv.weight'],
    attnOutput: ['attention.wo.weight'],
    ffnNorm: ['ffn_norm.weight'],
    ffnGateInp: ['feed_forward.gate.weight'],
  },
  expert: (expert, matrix) => `feed_forward.experts.${expert}.${matrix}.weight`,
}

/** Both layouts number an expert's matrices. llama.cpp's converter writes them in the order of these numbers. */
export const expertMatrices = { ffnGate: 'w1', ffnDown: 'w2', ffnUp: 'w3' } as const satisfies Record<ExpertRole, string>
