// What makes a synthetic model's routing like a trained one's. Random weights alone route each token almost at chance;
// in Mixtral 8x7B neighboring tokens share experts, most of all in the middle layers, and no expert takes more than a
// quarter (Mixtral of Experts, Jiang et al. 2024, table 5 and figure 7). Owns the few weights that bring that about: 1.
// the first 32 channels of every embedding hold one constant, and queries and keys read it through constants of their
// own: so, by the rotation, every head looks mostly at the last few
//    tokens, and what attention adds to neighbors is alike;
// 2. sizes: embeddings are large beside what a layer adds, and what it adds is more and more shared up to the middle,
// then less and less; 3. the router's weights for the constant channels prefer some experts a little, whatever the
// token. The sizes were set for the width of 8x7B. test/bench/syntheticModel.test.ts holds the percentages;
// bench/RESULTS.md lists them beside the paper's.

import { gridIQ2S, gridIQ2XXS, gridIQ3S } from '../dist/format/quants/grids.js'
import { floatToHalf, readHalf } from '../dist/format/quants/half.js'
import { exponentMXFP4 } from './randomBlocks.mjs'

const constantChannels = 32
/** Standard deviation of a tensor's weights, as randomBlocks.mjs makes them. */
const usual = 0.02
/** How many times the usual they are. */
const gains = {
  token_embd: () => 80,
  attn_output: (layer) => (layer < 2 ? 0.3 : layer < 16 ? 0.9 : 0.225),
  ffn_down_exps: (layer) => (layer < 16 ? 0.3 : layer < 28 ? 0.6 : 1.2),
}
/** How strongly queries and keys feel the constant channels. */
const constantNorm = 0.75
/** Standard deviation of the preference for an expert, in router logits. */
const preference = 0.18
/**
 * The constant in units of the embeddings' standard deviation: 7.5 / deviation of 16 even levels, as the blocks have
 * it.
 */
const constantSize = 1.63

/** Byte offsets of the halves that scale a block. */
const scaleOffsets = {
  ...{ Q2_K: [80, 82], Q4_K: [0, 2], Q5_K: [0, 2], Q6_K: [208], Q8_0: [0], F16: [0] },
  ...{ IQ2_XXS: [0], IQ2_S: [0], IQ3_XXS: [0], IQ3_S: [0] },
}

/** How the first 32 weights of a block get one group, signs of minus, and a scale. unit: as in gridEncoder.ts. */
const groupWriters = {
  IQ2_XXS: {
    ...{ grid: gridIQ2XXS, unit: 1 / 8 },
    write(bytes, at, group, scale) {
      bytes.fill(group, at + 2, at + 6)
      bytes.fill(255, at + 6, at + 9)
      bytes[at + 9] = 15 | (scale << 4)
    },
  },
  IQ2_S: {
    ...{ grid: gridIQ2S, unit: 1 / 8 },
    write(bytes, at, group, scale) {
      bytes.fill(group, at + 2, at + 6)
      bytes.fill(255, at + 34, at + 38)
      bytes[at + 66] = (group >> 8) * 0x55
      bytes[at + 74] = scale * 0x11
    },
  },
  IQ3_S: {
    ...{ grid: gridIQ3S, unit: 1 },
    write(bytes, at, group, scale) {
      bytes.fill(group, at + 2, at + 10)
      bytes[at + 66] = (group >> 8) * 0xff
      bytes.fill(255, at + 74, at + 78)
      bytes[at + 106] = (bytes[at + 106] & 0xf0) | scale
    },
  },
}

/**
 * Adapts a piece of a tensor, whole blocks filled as usual.
 * @param {{ name: string, type: import('../dist/format/gguf/ggmlType.js').GgmlType, shape: number[] }} tensor `name`
 * without prefix and suffix
 * @param {Uint8Array} piece its bytes from `start` on
 */
export function giveRouting({ name, layer, type, shape }, piece, start) {
  const gain = gains[name]?.(layer)
  if (gain !== undefined) scaleBlocks(type, piece, gain)
  const rowBytes = (shape[0] / type.blockWeights) * type.blockBytes
  const firstRow = Math.ceil(start / rowBytes)
  if (name === 'token_embd' || name === 'attn_q' || name === 'attn_k') {
    for (let at = firstRow * rowBytes - start; at < piece.length; at += rowBytes) setConstant(type, piece, at, usual * (gain ?? 1))
  }
  const floats = () => new Float32Array(piece.buffer, piece.byteOffset, piece.length / 4)
  if (name === 'attn_norm') for (let i = 0; i < constantChannels; i++) floats()[i] *= constantNorm
  if (name === 'ffn_gate_inp') {
    const weights = floats() // (experts, hidden), in one piece
    for (let row = 0; row < weights.length; row += shape[0]) {
      // the sum of two weights of the row is random enough, and the seed's
      const liking = ((weights[row + 32] + weights[row + 33]) / (usual * Math.SQRT2)) * preference
      weights.fill(-liking / (constantChannels * constantSize), row, row + constantChannels)
    }
  }
}

function scaleBlocks({ name, blockBytes }, bytes, gain) {
  if (name === 'MXFP4') for (let at = 0; at < bytes.length; at += blockBytes) bytes[at] = exponentMXFP4(gain, bytes[at + 1])
  else scaleHalves({ name, blockBytes }, bytes, gain)
}

function scaleHalves({ name, blockBytes }, bytes, gain) {
  for (const offset of scaleOffsets[name]) {
    for (let at = offset; at < bytes.length; at += blockBytes) {
      const half = floatToHalf(readHalf(bytes, at) * gain)
      bytes[at] = half & 255
      bytes[at + 1] = half >> 8
    }
  }
}

/** Makes the first 32 weights of the row at `at` equal and negative. */
function setConstant({ name }, bytes, at, deviation) {
  if (name === 'Q8_0') bytes.fill(0x81, at + 2, at + 34)
  else if (name === 'F16')
    new Uint16Array(bytes.buffer, bytes.byteOffset + at, constantChannels).fill(floatToHalf(-constantSize * deviation))
  else if (groupWriters[name]) setGroups(groupWriters[name], bytes, at, constantSize * deviation)
  else if (name === 'Q2_K') bytes.fill(bytes[at] & 0xf0, at, at + 2)
  else bytes[at + 4] &= 0xc0 // Q4_K: scale 0 leaves the min, as for Q2_K
}

/** The group of equal magnitudes, and the scale, that come nearest to `size`. */
function setGroups({ grid, unit, write }, bytes, at, size) {
  const { size: length, values } = grid()
  const step = readHalf(bytes, at) * unit
  let best = { error: Number.POSITIVE_INFINITY }
  for (let group = 0; group * length < values.length; group++) {
    const magnitude = values[group * length]
    if (values.subarray(group * length, (group + 1) * length).some((value) => value !== magnitude)) continue
    const scale = Math.max(0, Math.min(15, Math.round((size / (step * magnitude) - 1) / 2)))
    const error = Math.abs((2 * scale + 1) * step * magnitude - size)
    if (error < best.error) best = { group, scale, error }
  }
  write(bytes, at, best.group, best.scale)
}
