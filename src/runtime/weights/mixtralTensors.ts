// Finds a Mixtral's matrices among the tensors of a GGUF, in both layouts of experts: one 3-D tensor per layer, or one tensor per
// expert as until April 2024. Owns the tensors' names, shapes and permitted types; reads no data.

import { MixtralError, quoted } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import type { Gguf, GgufTensor } from '../../format/gguf/gguf.js'
import { supportedTypeNames } from '../../format/quants/formats.js'
import type { MixtralConfig } from './mixtralConfig.js'

/** One matrix in a file, row after row, be it a tensor or an expert's part of one; a vector has one row. */
export interface TensorSlice {
  /** Of the tensor in the file; the experts of a 3-D tensor share it. */
  readonly name: string
  readonly type: GgmlType
  /** Outputs. */
  readonly rows: number
  /** Inputs, a multiple of the type's block. */
  readonly columns: number
  /** Index into `Gguf.files`. */
  readonly file: number
  /** Of the first byte, from the start of that file. */
  readonly offset: number
  readonly bytes: number
}

export interface ExpertTensors {
  readonly ffnGate: TensorSlice // (intermediateSize, hiddenSize)
  readonly ffnUp: TensorSlice // (intermediateSize, hiddenSize)
  readonly ffnDown: TensorSlice // (hiddenSize, intermediateSize)
}

export interface LayerTensors {
  readonly attnNorm: TensorSlice // (1, hiddenSize), F32
  readonly attnQ: TensorSlice // (heads * headDim, hiddenSize)
  readonly attnK: TensorSlice // (kvHeads * headDim, hiddenSize)
  readonly attnV: TensorSlice // (kvHeads * headDim, hiddenSize)
  readonly attnOutput: TensorSlice // (hiddenSize, heads * headDim)
  readonly ffnNorm: TensorSlice // (1, hiddenSize), F32
  readonly ffnGateInp: TensorSlice // (experts, hiddenSize): the router
  readonly experts: readonly ExpertTensors[]
}

export interface MixtralTensors {
  readonly tokenEmbd: TensorSlice // (vocabSize, hiddenSize)
  readonly outputNorm: TensorSlice // (1, hiddenSize), F32
  readonly output: TensorSlice // (vocabSize, hiddenSize)
  /** Whether `output` is `tokenEmbd`. */
  readonly tied: boolean
  readonly layers: readonly LayerTensors[]
}

/**
 * Finds every matrix of the model.
 * Throws `MODEL` for a missing or wrongly shaped tensor or a layer of two layouts, and `UNSUPPORTED` for a type without a kernel or
 * a tensor, such as a bias, that would change the result and is not applied.
 */
export function mixtralTensors(config: MixtralConfig, gguf: Gguf): MixtralTensors {
  const { hiddenSize, vocabSize } = config
  const finder = new TensorFinder(gguf)
  const tokenEmbd = finder.matrix('token_embd.weight', vocabSize, hiddenSize)
  const tied = !gguf.tensors.has('output.weight')
  const tensors: MixtralTensors = {
    tokenEmbd,
    outputNorm: finder.matrix('output_norm.weight', 1, hiddenSize, ['F32']),
    output: tied ? tokenEmbd : finder.matrix('output.weight', vocabSize, hiddenSize),
    tied,
    layers: Array.from({ length: config.layers }, (_, layer) => findLayer(finder, config, layer)),
  }
  finder.refuseUnapplied()
  return tensors
}

function findLayer(finder: TensorFinder, config: MixtralConfig, layer: number): LayerTensors {
  const { hiddenSize, heads, kvHeads, headDim, experts } = config
  const name = (part: string) => `blk.${layer}.${part}.weight`
  return {
    attnNorm: finder.matrix(name('attn_norm'), 1, hiddenSize, ['F32']),
    attnQ: finder.matrix(name('attn_q'), heads * headDim, hiddenSize),
    attnK: finder.matrix(name('attn_k'), kvHeads * headDim, hiddenSize),
    attnV: finder.matrix(name('attn_v'), kvHeads * headDim, hiddenSize),
    attnOutput: finder.matrix(name('attn_output'), hiddenSize, heads * headDim),
    ffnNorm: finder.matrix(name('ffn_norm'), 1, hiddenSize, ['F32']),
    ffnGateInp: finder.matrix(name('ffn_gate_inp'), experts, hiddenSize),
    experts: findExperts(finder, config, layer),
  }
}

function findExperts(finder: TensorFinder, config: MixtralConfig, layer: number): ExpertTensors[] {
  const { hiddenSize, intermediateSize, experts } = config
  const merged = (part: string) => `blk.${layer}.${part}_exps.weight`
  const single = (part: string, expert: number) => `blk.${layer}.${part}.${expert}.weight`
  const parts = ['ffn_gate', 'ffn_up', 'ffn_down']
  const aMerged = parts.map(merged).find((name) => finder.has(name))
  const aSingle = parts
    .flatMap((part) => Array.from({ length: experts }, (_, expert) => single(part, expert)))
    .find((name) => finder.has(name))
  if (aMerged && aSingle) {
    finder.refuse('MODEL', `tensors ${aMerged} and ${aSingle}: experts merged and apart, expected one layout in a layer`)
  }
  if (!aMerged && !aSingle) {
    finder.refuse('MODEL', `tensors ${merged('ffn_gate')} and ${single('ffn_gate', 0)} are missing, expected one of them`)
  }

  const find = (part: string, rows: number, columns: number): TensorSlice[] =>
    aMerged
      ? finder.slices(merged(part), rows, columns, experts)
      : Array.from({ length: experts }, (_, expert) => finder.matrix(single(part, expert), rows, columns))
  const gates = find('ffn_gate', intermediateSize, hiddenSize)
  const ups = find('ffn_up', intermediateSize, hiddenSize)
  const downs = find('ffn_down', hiddenSize, intermediateSize)
  return gates.map((ffnGate, expert) => ({ ffnGate, ffnUp: ups[expert]!, ffnDown: downs[expert]! }))
}

/** Takes tensors by name and remembers which. */
class TensorFinder {
  readonly #gguf: Gguf
  readonly #taken = new Set<string>()

  constructor(gguf: Gguf) {
    this.#gguf = gguf
  }

  has(name: string): boolean {
    return this.#gguf.tensors.has(name)
  }

  refuse(code: 'MODEL' | 'UNSUPPORTED', problem: string, tensor?: GgufTensor): never {
    throw new MixtralError(code, `${this.#gguf.files[tensor?.file ?? 0]!.path}: ${problem}`)
  }

  matrix(name: string, rows: number, columns: number, types = supportedTypeNames): TensorSlice {
    const { type, file, offset, bytes } = this.#take(name, [columns, rows], types)
    return { name, type, rows, columns, file, offset, bytes }
  }

  /** The matrices that make up a 3-D tensor, one after the other. */
  slices(name: string, rows: number, columns: number, count: number): TensorSlice[] {
    const { type, file, offset, bytes } = this.#take(name, [columns, rows, count], supportedTypeNames)
    const each = bytes / count
    return Array.from({ length: count }, (_, n) => ({ name, type, rows, columns, file, offset: offset + n * each, bytes: each }))
  }

  /**
   * Refuses tensors of the text model that nobody took: biases, rotary factors, shared experts, further layers. Without them the
   * result would be another model's. Tensors under other names, such as a vision tower's, are none of ours.
   */
  refuseUnapplied(): void {
    for (const tensor of this.#gguf.tensors.values()) {
      const { name } = tensor
      if (this.#taken.has(name) || !/^(token|position|rope|output|blk)[._]/.test(name)) continue
      // The frequencies of plain rotary embedding, which some converters kept.
      if (/^blk\.\d+\.(attn_rot_embd|attn\.rotary_emb\.inv_freq)/.test(name)) continue
      this.refuse('UNSUPPORTED', `tensor ${quoted(name)} would change the result and is not one that a Mixtral here applies`, tensor)
    }
  }

  #take(name: string, shape: readonly number[], types: readonly string[]): GgufTensor {
    const tensor = this.#gguf.tensors.get(name)
    if (!tensor) return this.refuse('MODEL', `tensor ${name} is missing, expected with shape [${shape}]`)
    if (!sameShape(tensor.shape, shape)) {
      this.refuse('MODEL', `tensor ${name} has shape [${tensor.shape}], expected [${shape}], columns first`, tensor)
    }
    if (!types.includes(tensor.type.name)) {
      this.refuse('UNSUPPORTED', `tensor ${name} is of type ${tensor.type.name}, supported here: ${types.join(', ')}`, tensor)
    }
    this.#taken.add(name)
    return tensor
  }
}

/** Whether two shapes are equal but for dimensions of 1 at the end, which ggml does not store. */
function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return Array.from({ length: Math.max(a.length, b.length) }).every((_, d) => (a[d] ?? 1) === (b[d] ?? 1))
}
