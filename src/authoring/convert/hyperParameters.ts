// The hyper-parameters of a checkpoint, from config.json (transformers) or params.json (Mistral AI's own files). Owns
// their names and defaults there, and refuses what a Mixtral in a GGUF file does not have. MixtralConfig checks that
// the values fit each other.

import { quoted } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import type { JsonObject } from '../../format/tensors/jsonObject.js'

export interface HyperParameters {
  readonly layers: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly experts: number
  readonly expertsPerToken: number
  /** Number of tokens in the context that the model was trained with. */
  readonly contextLength: number
  readonly vocabSize: number
  readonly ropeTheta: number
  readonly rmsEps: number
  readonly slidingWindow: number | undefined
  /** Whether the output matrix is the embedding. */
  readonly tied: boolean
}

// As in MixtralConfig: beyond any real model, and products of two are exact.
// Those of our loader: what it would refuse is not converted.
const LARGEST_COUNT = limits.layers.most
const LARGEST_CONTEXT = limits.contextLength.most

/**
 * The hyper-parameters in a config.json for transformers' MixtralForCausalLM. Throws `CHECKPOINT`, naming the key, or
 * `UNSUPPORTED` for another kind of model.
 */
export function huggingFaceParameters(config: JsonObject, notes: string[] = []): HyperParameters {
  const type = config.string('model_type')
  if (type !== 'mixtral' && !config.array('architectures')?.includes('MixtralForCausalLM')) {
    throw unsupported(config.file, `a model of type ${quoted(type ?? 'unknown')}, expected "mixtral"`, 'key "model_type"')
  }
  const quantization = config.object('quantization_config')
  if (quantization) {
    const method = quoted(quantization.string('quant_method') ?? 'unknown')
    throw unsupported(config.file, `weights quantized by ${method}, expected plain F32, F16 or BF16`, 'key "quantization_config"')
  }
  const activation = config.string('hidden_act') ?? 'silu'
  if (activation !== 'silu') throw unsupported(config.file, `activation ${quoted(activation)}, expected "silu"`, 'key "hidden_act"')

  // what transformers' MixtralConfig takes
  const usual = (key: string, most: number, value: number) => {
    if (!config.has(key)) notes.push(`${key} is not in config.json; ${value}, the default of transformers, is taken`)
    return whole(config, key, most, value)
  }
  const heads = whole(config, 'num_attention_heads', limits.attentionWidth.most)
  const hiddenSize = whole(config, 'hidden_size', limits.hiddenSize.most)
  return {
    layers: whole(config, 'num_hidden_layers', LARGEST_COUNT),
    hiddenSize,
    intermediateSize: whole(config, 'intermediate_size', limits.intermediateSize.most),
    heads,
    kvHeads: usual('num_key_value_heads', limits.attentionWidth.most, 8),
    headDim: whole(config, 'head_dim', limits.attentionWidth.most, hiddenSize / heads),
    experts:
      config.has('num_experts') && !config.has('num_local_experts')
        ? whole(config, 'num_experts', LARGEST_COUNT)
        : usual('num_local_experts', LARGEST_COUNT, 8),
    expertsPerToken: whole(config, 'num_experts_per_tok', LARGEST_COUNT, 2),
    contextLength: usual('max_position_embeddings', LARGEST_CONTEXT, 4096 * 32),
    vocabSize: whole(config, 'vocab_size', limits.vocabulary.most),
    ropeTheta: ropeTheta(config),
    rmsEps: config.float32('rms_norm_eps') ?? 1e-5,
    slidingWindow: config.integer('sliding_window', 0, LARGEST_CONTEXT) || undefined,
    tied: config.boolean('tie_word_embeddings') ?? false,
  }
}

/**
 * The hyper-parameters in a params.json of Mistral AI. It does not give a context length; 32768 holds for all their
 * mixtures.
 */
export function consolidatedParameters(params: JsonObject): HyperParameters {
  const moe = params.object('moe')
  if (!moe) throw unsupported(params.file, 'no experts: this is a dense model, not a mixture of experts', 'key "moe"')
  return {
    layers: whole(params, 'n_layers', LARGEST_COUNT),
    hiddenSize: whole(params, 'dim', limits.hiddenSize.most),
    intermediateSize: whole(params, 'hidden_dim', limits.intermediateSize.most),
    heads: whole(params, 'n_heads', limits.attentionWidth.most),
    kvHeads: whole(params, 'n_kv_heads', limits.attentionWidth.most),
    headDim: whole(params, 'head_dim', limits.attentionWidth.most),
    experts: whole(moe, 'num_experts', LARGEST_COUNT),
    expertsPerToken: whole(moe, 'num_experts_per_tok', LARGEST_COUNT),
    contextLength: params.integer('max_seq_len', 1, LARGEST_CONTEXT) ?? 32768,
    vocabSize: whole(params, 'vocab_size', limits.vocabulary.most),
    ropeTheta: params.float32('rope_theta') ?? 1e6,
    rmsEps: params.float32('norm_eps') ?? params.refuse('norm_eps', 'a number'),
    slidingWindow: params.integer('sliding_window', 0, LARGEST_CONTEXT) || undefined,
    tied: params.boolean('tied_embeddings') ?? false,
  }
}

/** The value of `rope_theta`: a key of its own until transformers 5, since then a key of `rope_parameters`. */
function ropeTheta(config: JsonObject): number {
  const parameters = config.object('rope_parameters') ?? config.object('rope_scaling')
  const type = parameters?.string('rope_type') ?? parameters?.string('type') ?? 'default'
  const isPlain = type === 'default' || (type === 'linear' && parameters?.number('factor') === 1)
  if (!isPlain) throw unsupported(config.file, `rotary embedding of type ${quoted(type)}, expected "default"`, 'key "rope_type"')
  const partial = parameters?.number('partial_rotary_factor') ?? config.number('partial_rotary_factor') ?? 1
  if (partial !== 1) throw unsupported(config.file, `${partial}, expected 1`, 'key "partial_rotary_factor"')
  return parameters?.float32('rope_theta') ?? config.float32('rope_theta') ?? 1e6
}

function whole(object: JsonObject, key: string, most: number, fallback?: number): number {
  const value = object.integer(key, 1, most) ?? fallback
  if (value === undefined) return object.refuse(key, `a whole number from 1 to ${most}`)
  if (!Number.isInteger(value))
    throw checkpointError(object.file, `no value, and ${value} by default, expected a whole number`, `key "${key}"`)
  return value
}
