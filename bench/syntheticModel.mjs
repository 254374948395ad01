// GGUF files in the shapes of Mixtral 8x7B and 8x22B with random weights, for measuring without downloading: the
// tensors and block types of a real file, any number of layers. The text is nonsense, but routing is as skewed and as
// steady as a real model's (syntheticRouting.mjs).

import { bytesIn, ggmlTypeByName } from '../dist/format/gguf/ggmlType.js'
import { GgufWriter } from '../dist/format/gguf/writer.js'
import { MixtralConfig } from '../dist/runtime/weights/mixtralConfig.js'
import { fileTypeOf, quantizedType } from '../dist/runtime/weights/quantizations.js'
import { expertRoles, isQuantized, isVector, layerRoles, roles, shapeOf, tensorName } from '../dist/runtime/weights/roles.js'
import { fillNorm, fillWeights, Random } from './randomBlocks.mjs'
import { giveRouting } from './syntheticRouting.mjs'

/** The sizes of Mixtral 8x7B, which has 32 layers. */
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

/** The shapes by their names. 8x22B has 56 layers; the vocabulary is that of its Instruct version. */
export const shapes = {
  '8x7b': mixtral8x7b,
  '8x22b': { ...mixtral8x7b, hidden: 6144, ffn: 16384, heads: 48, vocab: 32768, context: 65536 },
}

/** The quantizations that can be written. */
export const fileTypes = ['Q4_K_M', 'Q8_0', 'F16', 'MXFP4_MOE', 'IQ3_XXS', 'IQ2_XXS']

/**
 * Writes a model of `layers` layers to `path`.
 * @param {string} path
 * @param {{ type: (typeof fileTypes)[number], layers: number, seed?: number,
 *   onProgress?: (bytes: number, totalBytes: number) => void } & Partial<typeof mixtral8x7b>} options Default sizes:
 *   those of Mixtral 8x7B.
 */
export async function writeSyntheticModel(path, { type, layers, seed = 1, onProgress, ...sizes }) {
  const shape = { ...mixtral8x7b, ...sizes, layers }
  const metadata = metadataOf(shape, type)
  const config = MixtralConfig.fromGgufMetadata(new Map(metadata.map(([key, , value]) => [key, value])))
  const tensors = tensorsOf(config, type)
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

/** The tensors in the order of a file, with the types that llama.cpp gives them. */
function tensorsOf(config, quantization) {
  const tensor = (role, layer = 0) => {
    const { rows, columns } = shapeOf(role, config)
    const type = isQuantized(role) ? quantizedType(quantization, role, layer, columns, config) : ggmlTypeByName('F32')
    const shape = isVector(role) ? [columns] : roles[role].per === 'expert' ? [columns, rows, config.experts] : [columns, rows]
    const weights = shape.reduce((product, size) => product * size)
    return { name: tensorName(role, layer), type, shape, bytes: bytesIn(type, weights) }
  }
  const layers = Array.from({ length: config.layers }, (_, layer) => [...layerRoles, ...expertRoles].map((role) => tensor(role, layer)))
  return [tensor('tokenEmbd'), ...layers.flat(), tensor('outputNorm'), tensor('output')]
}

function metadataOf({ layers, hidden, ffn, heads, kvHeads, experts, used, vocab, context }, type) {
  const { tokens, scores, tokenTypes } = vocabulary(vocab)
  return [
    ['general.architecture', 'string', 'llama'],
    ['general.name', 'string', `Synthetic Mixtral, ${layers} layers, ${type}`],
    ['general.file_type', 'uint32', fileTypeOf(type)],
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

/**
 * SentencePiece tokens: control and byte tokens, printable ASCII, then aa, _aa, ab, _ab, ... (_ for the space mark)
 * with falling scores.
 */
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
