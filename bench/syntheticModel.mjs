// GGUF files in the shapes of Mixtral 8x7B and 8x22B with random weights, for measuring without downloading: the same tensors and block types as
// llama.cpp gives a real file, any number of layers. The text is nonsense, but routing is as skewed and as steady as a real model's (syntheticRouting.mjs).

import { ggmlTypeByName } from '../dist/format/gguf/ggmlType.js'
import { GgufWriter } from '../dist/format/gguf/writer.js'
import { fillNorm, fillWeights, Random } from './randomBlocks.mjs'
import { giveRouting } from './syntheticRouting.mjs'

/** Mixtral 8x7B but for its 32 layers. */
export const mixtral8x7b = {
  hidden: 4096,
  ffn: 14336,
  heads: 32,
  kvHeads: 8,
  experts: 8,
  used: 2,
  vocab: 32000,
  context: 32768,
}

/** The shapes by their names: 8x22B but for its 56 layers, with the vocabulary of its Instruct version. */
export const shapes = {
  '8x7b': mixtral8x7b,
  '8x22b': { ...mixtral8x7b, hidden: 6144, ffn: 16384, heads: 48, vocab: 32768, context: 65536 },
}

/** The file types that can be written, with their `general.file_type` and llama.cpp's block type for each tensor. */
export const fileTypes = {
  Q4_K_M: {
    id: 15,
    typeOf(tensor, layer, layers) {
      if (tensor === 'attn_k' || tensor === 'attn_v') return 'Q8_0'
      if (tensor === 'attn_output') return 'Q5_K'
      if (tensor === 'output') return 'Q6_K'
      return tensor === 'ffn_down_exps' && wantsMoreBits(layer, layers) ? 'Q6_K' : 'Q4_K'
    },
  },
  Q8_0: { id: 7, typeOf: () => 'Q8_0' },
  F16: { id: 1, typeOf: () => 'F16' },
}

function wantsMoreBits(layer, layers) {
  const eighth = Math.floor(layers / 8)
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2
}

/**
 * Writes a model of `layers` layers to `path`.
 * @param {string} path
 * @param {{ type: keyof typeof fileTypes, layers: number, seed?: number, onProgress?: (bytes: number, totalBytes: number) => void }
 *   & Partial<typeof mixtral8x7b>} options sizes are Mixtral 8x7B's unless given
 */
export async function writeSyntheticModel(path, { type, layers, seed = 1, onProgress, ...sizes }) {
  const shape = { ...mixtral8x7b, ...sizes, layers }
  const tensors = tensorsOf(shape, fileTypes[type])
  const metadata = metadataOf(shape, type)
  const writer = await GgufWriter.create(path, { metadata, tensors })
  const random = new Random(seed)
  const totalBytes = tensors.reduce((sum, { bytes }) => sum + bytes, 0)
  let writtenBytes = 0
  // Two buffers: one is filled while the other is on its way to the disk.
  const buffers = [new Uint8Array(pieceBytes), new Uint8Array(pieceBytes)]
  let writing = Promise.resolve()
  for (const tensor of tensors) {
    const { name, type: blockType, bytes } = tensor
    const fill = name.includes('_norm.') ? fillNorm : fillWeights[blockType.name]
    const wholeBlocks = pieceBytes - (pieceBytes % blockType.blockBytes)
    for (let done = 0; done < bytes; done += wholeBlocks) {
      buffers.reverse()
      const piece = buffers[0].subarray(0, Math.min(wholeBlocks, bytes - done))
      random.fill(piece)
      fill(piece)
      giveRouting(tensorPart(tensor), piece, done)
      await writing
      writing = writer.write(piece)
      writtenBytes += piece.length
      onProgress?.(writtenBytes, totalBytes)
    }
  }
  await writing
  await writer.close()
}

const pieceBytes = 2 ** 22

/** `blk.3.attn_q.weight` is the `attn_q` of layer 3. */
function tensorPart({ name, type, shape }) {
  const [, layer, part] = /^(?:blk\.(\d+)\.)?(\w+)\.weight$/.exec(name)
  return { name: part, layer: Number(layer ?? 0), type, shape }
}

function tensorsOf({ layers, hidden, ffn, heads, kvHeads, experts, vocab }, { typeOf }) {
  const tensors = []
  const add = (name, typeName, ...shape) => {
    const type = ggmlTypeByName(typeName)
    const weights = shape.reduce((product, size) => product * size)
    tensors.push({ name: `${name}.weight`, type, shape, bytes: (weights / type.blockWeights) * type.blockBytes })
  }
  const kvWidth = (hidden / heads) * kvHeads
  add('token_embd', typeOf('token_embd'), hidden, vocab)
  for (let layer = 0; layer < layers; layer++) {
    const addMatrix = (tensor, ...shape) => add(`blk.${layer}.${tensor}`, typeOf(tensor, layer, layers), ...shape)
    add(`blk.${layer}.attn_norm`, 'F32', hidden)
    addMatrix('attn_q', hidden, hidden)
    addMatrix('attn_k', hidden, kvWidth)
    addMatrix('attn_v', hidden, kvWidth)
    addMatrix('attn_output', hidden, hidden)
    add(`blk.${layer}.ffn_norm`, 'F32', hidden)
    add(`blk.${layer}.ffn_gate_inp`, 'F32', hidden, experts)
    addMatrix('ffn_gate_exps', hidden, ffn, experts)
    addMatrix('ffn_up_exps', hidden, ffn, experts)
    addMatrix('ffn_down_exps', ffn, hidden, experts)
  }
  add('output_norm', 'F32', hidden)
  add('output', typeOf('output'), hidden, vocab)
  return tensors
}

function metadataOf({ layers, hidden, ffn, heads, kvHeads, experts, used, vocab, context }, type) {
  const { tokens, scores, tokenTypes } = vocabulary(vocab)
  return [
    ['general.architecture', 'string', 'llama'],
    ['general.name', 'string', `Synthetic Mixtral, ${layers} layers, ${type}`],
    ['general.file_type', 'uint32', fileTypes[type].id],
    ['general.quantization_version', 'uint32', 2],
    ['llama.vocab_size', 'uint32', vocab],
    ['llama.context_length', 'uint32', context],
    ['llama.embedding_length', 'uint32', hidden],
    ['llama.block_count', 'uint32', layers],
    ['llama.feed_forward_length', 'uint32', ffn],
    ['llama.rope.dimension_count', 'uint32', hidden / heads],
    ['llama.rope.freq_base', 'float32', 1e6],
    ['llama.attention.head_count', 'uint32', heads],
    ['llama.attention.head_count_kv', 'uint32', kvHeads],
    ['llama.attention.layer_norm_rms_epsilon', 'float32', 1e-5],
    ['llama.expert_count', 'uint32', experts],
    ['llama.expert_used_count', 'uint32', used],
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.tokens', 'array<string>', tokens],
    ['tokenizer.ggml.scores', 'array<float32>', scores],
    ['tokenizer.ggml.token_type', 'array<int32>', tokenTypes],
    ['tokenizer.ggml.bos_token_id', 'uint32', 1],
    ['tokenizer.ggml.eos_token_id', 'uint32', 2],
    ['tokenizer.ggml.unknown_token_id', 'uint32', 0],
    ['tokenizer.ggml.add_bos_token', 'bool', true],
    ['tokenizer.ggml.add_eos_token', 'bool', false],
  ]
}

/** SentencePiece tokens: control and byte tokens, printable ASCII, then aa, _aa, ab, _ab, ... (_ for the space mark) with falling scores. */
function vocabulary(size) {
  const control = ['<unk>', '<s>', '</s>']
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const pieces = ['\u2581', ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))]
  for (let n = 0; control.length + bytes.length + pieces.length < size; n++) {
    const word = letters(n)
    pieces.push(word, `\u2581${word}`)
  }
  const tokens = [...control, ...bytes, ...pieces].slice(0, size)
  return {
    tokens,
    scores: tokens.map((_, id) => Math.min(0, 258 - id)),
    tokenTypes: tokens.map((_, id) => (id < 3 ? [2, 3, 3][id] : id < 259 ? 6 : 1)),
  }
}

/** aa, ab, ..., zz, then three letters, and so on. */
function letters(n) {
  for (let length = 2, before = 0; ; before += 26 ** length++) {
    if (n - before >= 26 ** length) continue
    let word = ''
    for (let rest = n - before, i = 0; i < length; i++, rest = Math.floor(rest / 26)) word = String.fromCharCode(97 + (rest % 26)) + word
    return word
  }
}
