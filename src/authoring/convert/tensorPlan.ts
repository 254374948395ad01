// Which tensors of a checkpoint make which tensors of a GGUF file: names as llama.cpp's converter gives them, shapes, and the parts in order. Owns the
// three layouts of experts: one tensor per matrix in either naming, and transformers 5's merged ones. Checks everything, reads no data.

import { quoted } from '../../format/gguf/ggufError.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import type { SourceTensor } from '../../format/tensors/safetensors.js'
import type { Checkpoint } from './checkpoint.js'
import { elementTypes, isElementType } from './elementType.js'
import type { HyperParameters } from './hyperParameters.js'

/** Consecutive elements of a tensor of the checkpoint. */
interface Part {
  readonly tensor: SourceTensor
  /** The first element. */
  readonly start: number
  readonly elements: number
}

/** A tensor to be written. */
export interface TargetTensor {
  readonly name: string
  /** Innermost first, as GGUF has it. */
  readonly shape: readonly number[]
  /** In which F32 is the only type, whatever the matrices are: norms and routers. */
  readonly isF32: boolean
  /** What it is made of, one after the other. */
  readonly parts: readonly Part[]
  /** Rows of a head, where the rows of each head are to be interleaved: transformers rotates halves, (i, i + headDim / 2), GGUF pairs, (2i, 2i + 1). */
  readonly interleavedHeadDim?: number
}

/** The names of one layer's tensors, and of an expert's. */
interface Names {
  readonly embedding: string
  readonly norm: string
  readonly output: string
  readonly layer: (layer: number) => string
  readonly attention: { readonly q: string; readonly k: string; readonly v: string; readonly output: string }
  readonly attentionNorm: string
  readonly ffnNorm: string
  readonly router: readonly string[]
  readonly expert: (expert: number, matrix: 'w1' | 'w2' | 'w3') => string
}

const huggingFace: Names = {
  embedding: 'model.embed_tokens.weight',
  norm: 'model.norm.weight',
  output: 'lm_head.weight',
  layer: (layer) => `model.layers.${layer}.`,
  attention: {
    ...{ q: 'self_attn.q_proj.weight', k: 'self_attn.k_proj.weight' },
    ...{ v: 'self_attn.v_proj.weight', output: 'self_attn.o_proj.weight' },
  },
  attentionNorm: 'input_layernorm.weight',
  ffnNorm: 'post_attention_layernorm.weight',
  router: ['block_sparse_moe.gate.weight', 'mlp.gate.weight'],
  expert: (expert, matrix) => `block_sparse_moe.experts.${expert}.${matrix}.weight`,
}

const consolidated: Names = {
  embedding: 'tok_embeddings.weight',
  norm: 'norm.weight',
  output: 'output.weight',
  layer: (layer) => `layers.${layer}.`,
  attention: { q: 'attention.wq.weight', k: 'attention.wk.weight', v: 'attention.wv.weight', output: 'attention.wo.weight' },
  attentionNorm: 'attention_norm.weight',
  ffnNorm: 'ffn_norm.weight',
  router: ['feed_forward.gate.weight'],
  expert: (expert, matrix) => `feed_forward.experts.${expert}.${matrix}.weight`,
}

/**
 * The tensors of the GGUF file, in its order. Throws `CHECKPOINT` for a missing or wrongly shaped tensor, `UNSUPPORTED` for one of another type than
 * F32, F16 and BF16 or one, such as a bias, that would change the result.
 */
export function planTensors(checkpoint: Checkpoint, parameters: HyperParameters): TargetTensor[] {
  const { layers, hiddenSize, heads, kvHeads, headDim, experts, vocabSize, tied } = parameters
  const names = checkpoint.layout === 'huggingface' ? huggingFace : consolidated
  const finder = new SourceFinder(checkpoint)
  const targets: TargetTensor[] = []
  const vector = (name: string, source: string) => targets.push({ ...finder.target(name, source, [hiddenSize]), isF32: true })
  const matrix = (name: string, source: string, rows: number, columns: number) => targets.push(finder.target(name, source, [rows, columns]))
  // Mistral AI's own files have the pairs side by side already.
  const rotated = (name: string, source: string, ofHeads: number) => {
    const target = finder.target(name, source, [ofHeads * headDim, hiddenSize])
    targets.push(checkpoint.layout === 'huggingface' ? { ...target, interleavedHeadDim: headDim } : target)
  }

  matrix('token_embd.weight', names.embedding, vocabSize, hiddenSize)
  for (let layer = 0; layer < layers; layer++) {
    const from = names.layer(layer)
    const to = (part: string) => `blk.${layer}.${part}.weight`
    vector(to('attn_norm'), from + names.attentionNorm)
    rotated(to('attn_q'), from + names.attention.q, heads)
    rotated(to('attn_k'), from + names.attention.k, kvHeads)
    matrix(to('attn_v'), from + names.attention.v, kvHeads * headDim, hiddenSize)
    matrix(to('attn_output'), from + names.attention.output, hiddenSize, heads * headDim)
    vector(to('ffn_norm'), from + names.ffnNorm)
    const router = names.router.find((name) => finder.has(from + name)) ?? names.router[0]!
    targets.push({ ...finder.target(to('ffn_gate_inp'), from + router, [experts, hiddenSize]), isF32: true })
    targets.push(...expertTargets(finder, parameters, names, from, to))
  }
  vector('output_norm.weight', names.norm)
  if (tied) finder.skip(names.output)
  else matrix('output.weight', names.output, vocabSize, hiddenSize)
  finder.refuseOthers()
  return targets
}

/** Gate, down and up of all experts of a layer. */
function expertTargets(
  finder: SourceFinder,
  { hiddenSize, intermediateSize, experts }: HyperParameters,
  names: Names,
  from: string,
  to: (part: string) => string,
): TargetTensor[] {
  const gateUp = `${from}mlp.experts.gate_up_proj` // (experts, 2 * intermediateSize, hiddenSize): an expert's gate, then its up
  const down = `${from}mlp.experts.down_proj` // (experts, hiddenSize, intermediateSize)
  const size = hiddenSize * intermediateSize
  const wide = [hiddenSize, intermediateSize, experts] // innermost first
  const narrow = [intermediateSize, hiddenSize, experts]
  const all = Array.from({ length: experts }, (_, expert) => expert)
  if (names === huggingFace && finder.has(gateUp)) {
    const both = finder.take(gateUp, [experts, 2 * intermediateSize, hiddenSize])
    const half = (second: 0 | 1) => all.map((expert) => ({ tensor: both, start: (2 * expert + second) * size, elements: size }))
    const downs = finder.take(down, [experts, hiddenSize, intermediateSize])
    return [
      { name: to('ffn_gate_exps'), shape: wide, isF32: false, parts: half(0) },
      { name: to('ffn_down_exps'), shape: narrow, isF32: false, parts: [{ tensor: downs, start: 0, elements: experts * size }] },
      { name: to('ffn_up_exps'), shape: wide, isF32: false, parts: half(1) },
    ]
  }
  const one = (matrix: 'w1' | 'w2' | 'w3', shape: readonly number[]) =>
    all.map((expert) => ({ tensor: finder.take(from + names.expert(expert, matrix), shape), start: 0, elements: size }))
  return [
    { name: to('ffn_gate_exps'), shape: wide, isF32: false, parts: one('w1', [intermediateSize, hiddenSize]) },
    { name: to('ffn_down_exps'), shape: narrow, isF32: false, parts: one('w2', [hiddenSize, intermediateSize]) },
    { name: to('ffn_up_exps'), shape: wide, isF32: false, parts: one('w3', [intermediateSize, hiddenSize]) },
  ]
}

/** Takes tensors by name and remembers which. */
class SourceFinder {
  readonly #checkpoint: Checkpoint
  readonly #taken = new Set<string>()

  constructor(checkpoint: Checkpoint) {
    this.#checkpoint = checkpoint
  }

  has(name: string): boolean {
    return this.#checkpoint.tensors.has(name)
  }

  /** A tensor that is not needed. */
  skip(name: string): void {
    this.#taken.add(name)
  }

  /** @param shape outermost first */
  take(name: string, shape: readonly number[]): SourceTensor {
    const tensor = this.#checkpoint.tensors.get(name)
    if (!tensor) throw checkpointError(this.#checkpoint.folder, `is missing, expected with shape [${shape}]`, `tensor ${quoted(name)}`)
    const where = `tensor ${quoted(name)}`
    if (!isElementType(tensor.dtype)) {
      throw unsupported(tensor.source.name, `elements of type ${quoted(tensor.dtype)}, expected ${elementTypes.join(', ')}`, where)
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, d) => size !== shape[d])) {
      throw checkpointError(tensor.source.name, `shape [${tensor.shape}], expected [${shape}]`, where)
    }
    this.#taken.add(name)
    return tensor
  }

  /** A tensor that is one of the checkpoint's as it is. */
  target(name: string, source: string, shape: readonly number[]): TargetTensor {
    const tensor = this.take(source, shape)
    const elements = shape.reduce((product, size) => product * size, 1)
    return { name, shape: shape.toReversed(), isF32: false, parts: [{ tensor, start: 0, elements }] }
  }

  /** Refuses tensors that nobody took: without them the result would be another model's. */
  refuseOthers(): void {
    for (const { name, source } of this.#checkpoint.tensors.values()) {
      if (this.#taken.has(name) || name.endsWith('rotary_emb.inv_freq')) continue // which follow from the configuration
      throw unsupported(source.name, 'is not one that a Mixtral has, and would change the result', `tensor ${quoted(name)}`)
    }
  }
}
