// The hyper-parameters of a Mixtral, from GGUF metadata. Owns the names of the keys, their defaults (llama.cpp's) and
// which values are possible; does not look at tensors.

import { checkKind, MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import type { Gguf, GgufValue } from '../../format/gguf/gguf.js'

type Metadata = ReadonlyMap<string, GgufValue>

const LARGEST_VOCABULARY = limits.vocabulary.most
const LARGEST_COUNT = limits.layers.most
const LARGEST_CONTEXT = limits.contextLength.most
const MOST_EXPERTS = limits.experts.most

export class MixtralConfig {
  readonly vocabSize: number
  /** Width of the residual stream. */
  readonly hiddenSize: number
  /** Width inside one expert. */
  readonly intermediateSize: number
  readonly layers: number
  readonly heads: number
  /** Key heads, and as many value heads: each is shared by `heads / kvHeads` query heads. */
  readonly kvHeads: number
  /** Width of one head, the same for queries, keys and values; even. */
  readonly headDim: number
  /** Experts in each layer. */
  readonly experts: number
  /** Experts that run for one token. */
  readonly expertsPerToken: number
  /** The context length the model was trained with, in tokens. */
  readonly maxPositions: number
  /** Positions that a token attends to, its own included. Undefined, as in real Mixtrals: all. */
  readonly slidingWindow: number | undefined
  readonly ropeTheta: number
  /** Dimensions of a head that are rotated; even. */
  readonly ropeDim: number
  /** Added to the mean square in RMS norms. */
  readonly rmsEps: number
  /** A coefficient of training, for information only. */
  readonly routerAuxLossCoef: number | undefined

  private constructor(metadata: Metadata) {
    this.layers = integer(metadata, 'llama.block_count', LARGEST_COUNT)
    this.hiddenSize = integer(metadata, 'llama.embedding_length', limits.hiddenSize.most)
    this.intermediateSize = integer(metadata, 'llama.feed_forward_length', limits.intermediateSize.most)
    this.maxPositions = integer(metadata, 'llama.context_length', LARGEST_CONTEXT)
    this.vocabSize = vocabSize(metadata)

    this.heads = integer(metadata, 'llama.attention.head_count', limits.attentionWidth.most)
    this.kvHeads = integer(metadata, 'llama.attention.head_count_kv', limits.attentionWidth.most, this.heads)
    if (this.heads % this.kvHeads !== 0) refuse('llama.attention.head_count_kv', this.kvHeads, `a divisor of the ${this.heads} heads`)
    this.headDim = integer(metadata, 'llama.attention.key_length', limits.attentionWidth.most, this.hiddenSize / this.heads)
    if (this.headDim % 2 !== 0) {
      refuse('llama.attention.key_length', this.headDim, 'an even whole number (embedding_length / head_count if absent)')
    }
    const width = this.heads * this.headDim
    if (width > limits.attentionWidth.most) {
      refuse(
        'llama.attention.head_count',
        this.heads,
        `heads of ${this.headDim} that are ${limits.attentionWidth.most} wide together at most`,
      )
    }
    const valueDim = integer(metadata, 'llama.attention.value_length', limits.attentionWidth.most, this.hiddenSize / this.heads)
    if (valueDim !== this.headDim) refuse('llama.attention.value_length', valueDim, `the ${this.headDim} of keys`)
    this.slidingWindow = integer(metadata, 'llama.attention.sliding_window', LARGEST_CONTEXT, 0) || undefined
    this.rmsEps = real(metadata, 'llama.attention.layer_norm_rms_epsilon')
    if (this.rmsEps < 0) refuse('llama.attention.layer_norm_rms_epsilon', this.rmsEps, 'at least 0')

    this.experts = integer(metadata, 'llama.expert_count', LARGEST_COUNT)
    if (this.layers * this.experts > MOST_EXPERTS) {
      refuse('llama.expert_count', this.experts, `at most ${Math.floor(MOST_EXPERTS / this.layers)} in each of ${this.layers} layers`)
    }
    this.expertsPerToken = integer(metadata, 'llama.expert_used_count', LARGEST_COUNT)
    if (this.expertsPerToken > this.experts) refuse('llama.expert_used_count', this.expertsPerToken, `at most the ${this.experts} experts`)
    this.routerAuxLossCoef = metadata.has('llama.router_aux_loss_coef') ? real(metadata, 'llama.router_aux_loss_coef') : undefined

    this.ropeTheta = real(metadata, 'llama.rope.freq_base', 10000)
    if (this.ropeTheta <= 0) refuse('llama.rope.freq_base', this.ropeTheta, 'more than 0')
    this.ropeDim = integer(metadata, 'llama.rope.dimension_count', limits.attentionWidth.most, this.headDim)
    if (this.ropeDim % 2 !== 0 || this.ropeDim > this.headDim) {
      refuse('llama.rope.dimension_count', this.ropeDim, `even and at most the head's ${this.headDim} dimensions`)
    }
    Object.freeze(this) // memory is laid out by these numbers
  }

  /**
   * Reads the hyper-parameters from a file's metadata.
   * Throws `MODEL`, naming the key, if it is not a mixture of experts of the `llama` architecture or a value is
   * impossible, and `UNSUPPORTED` if the model scales its rotary embedding or is not causal.
   * @example const config = MixtralConfig.fromGgufMetadata(weights.metadata)
   */
  static fromGgufMetadata(metadata: ReadonlyMap<string, GgufValue>): MixtralConfig {
    checkKind('the metadata', metadata, typeof metadata?.get === 'function', "a Map of a GGUF file's keys and values")
    const type = metadata.get('general.type')
    if (type === 'adapter') refuse('general.type', type, 'a model: this is an adapter to one, and goes with --lora, or the option adapters')
    const architecture = metadata.get('general.architecture')
    if (architecture !== 'llama') refuse('general.architecture', architecture, '"llama", the architecture of Mixtral files')
    const experts = metadata.get('llama.expert_count')
    if (experts === undefined || experts === 0) {
      refuse('llama.expert_count', experts, 'at least 1: this is a dense model, not a mixture of experts')
    }
    refuseUnsupported(metadata)
    return new MixtralConfig(metadata)
  }
}

/** The hyper-parameters of a file. Throws what `MixtralConfig.fromGgufMetadata` throws, and names the file. */
export function configOf({ metadata, files }: Pick<Gguf, 'metadata' | 'files'>): MixtralConfig {
  try {
    return MixtralConfig.fromGgufMetadata(metadata)
  } catch (error) {
    if (!(error instanceof MixtralError) || files[0] === undefined) throw error
    throw new MixtralError(error.code, `${files[0].path}: ${error.message}`, { cause: error })
  }
}

/** The length of the list of tokens. As in llama.cpp, the key counts only if there is no list. */
function vocabSize(metadata: Metadata): number {
  const tokens = metadata.get('tokenizer.ggml.tokens')
  if (!Array.isArray(tokens)) return integer(metadata, 'llama.vocab_size', LARGEST_VOCABULARY)
  if (tokens.length < 1 || tokens.length > LARGEST_VOCABULARY) refuse('tokenizer.ggml.tokens', tokens, `1 to ${LARGEST_VOCABULARY} tokens`)
  return tokens.length
}

/** Refuses settings that would change the result and are not implemented. */
function refuseUnsupported(metadata: Metadata): void {
  const scaling = metadata.get('llama.rope.scaling.type') ?? 'linear' // llama.cpp's default, harmless with a factor of 1
  if (scaling !== 'none' && scaling !== 'linear') refuse('llama.rope.scaling.type', scaling, '"none"', 'UNSUPPORTED')
  if (scaling === 'linear') {
    for (const key of ['llama.rope.scaling.factor', 'llama.rope.scale_linear']) {
      const factor = metadata.get(key) ?? 1
      if (factor !== 1 && factor !== 0) refuse(key, factor, '1', 'UNSUPPORTED') // 0 is none, as in llama.cpp
    }
  }
  const attentionFactor = metadata.get('llama.rope.scaling.attn_factor') ?? 1
  if (attentionFactor !== 1) refuse('llama.rope.scaling.attn_factor', attentionFactor, '1', 'UNSUPPORTED')
  const causal = metadata.get('llama.attention.causal') ?? true
  if (causal !== true) refuse('llama.attention.causal', causal, 'true', 'UNSUPPORTED')
}

/**
 * A whole number from 1, or from 0 if the fallback is 0, to `most`. Some files have one number per layer, which is
 * accepted if all are equal. A fallback is not checked here.
 */
function integer(metadata: Metadata, key: string, most: number, fallback?: number): number {
  const stored = metadata.get(key)
  if (stored === undefined && fallback !== undefined) return fallback
  const value = Array.isArray(stored) && stored.length > 0 && stored.every((item) => item === stored[0]) ? stored[0] : stored
  const least = fallback === 0 ? 0 : 1
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
  return refuse(key, stored, Array.isArray(stored) ? 'one number, or the same for every layer' : `a whole number from ${least} to ${most}`)
}

/** A finite number. */
function real(metadata: Metadata, key: string, fallback?: number): number {
  const value = metadata.get(key) ?? fallback
  return typeof value === 'number' && Number.isFinite(value) ? value : refuse(key, value, 'a finite number')
}

function refuse(key: string, found: GgufValue | undefined, expected: string, code: 'MODEL' | 'UNSUPPORTED' = 'MODEL'): never {
  throw new MixtralError(code, `metadata key "${key}": ${shown(found)}, expected ${expected}`)
}
