// Random weights of mean 0 and standard deviation 0.02, like a trained model's, in every block format. All bits of the
// quants are random; a block's scales are then set so that its values come out at that size. Byte tables:
// src/format/quants/.

import { gridIQ2S, gridIQ2XS, gridIQ2XXS, gridIQ3S, gridIQ3XXS } from '../dist/format/quants/grids.js'
import { floatToHalf } from '../dist/format/quants/half.js'
import { iq4Values } from '../dist/format/quants/iq4Search.js'

const deviation = 0.02

/** Marsaglia's xorshift128: fast, and its period of 2^128 is longer than any file. */
export class Random {
  #state

  constructor(seed) {
    this.#state = [123456789 ^ seed, 362436069, 521288629, 88675123]
    this.fill(new Uint8Array(256)) // seeds that differ little have parted by then
  }

  /**
   * Overwrites `bytes` with random bits, and up to three bytes after them. `bytes` must start at a multiple of 4 in its
   * buffer.
   */
  fill(bytes) {
    let [x, y, z, w] = this.#state
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.ceil(bytes.length / 4))
    for (let i = 0; i < words.length; i++) {
      const t = x ^ (x << 11)
      x = y
      y = z
      z = w
      w = w ^ (w >>> 19) ^ t ^ (t >>> 8)
      words[i] = w
    }
    this.#state = [x, y, z, w]
  }
}

/** Turns random bits into float32 norm weights, 0.75 to 1.25. */
export function fillNorm(bytes) {
  fillFloats(bytes, 1, 0.25)
}

/** For each format what turns random bits into blocks; `bytes` are whole blocks. */
export const fillWeights = {
  F32: (bytes) => fillFloats(bytes, 0, deviation * Math.sqrt(3)),
  F16: fillF16,
  Q4_0: (bytes) => fillHalves(bytes, 18, 0, scalesOfQ40),
  Q4_1: (bytes) => fillHalfPairs(bytes, 20, 0, scalesOfQ41),
  Q5_0: (bytes) => fillHalves(bytes, 22, 0, scalesOfQ50),
  Q5_1: (bytes) => fillHalfPairs(bytes, 24, 0, scalesOfQ51),
  Q8_0: (bytes) => fillHalves(bytes, 34, 0, scalesOfQ80),
  Q2_K: fillQ2K,
  Q3_K: fillQ3K,
  Q4_K: (bytes) => fillScaleMin(bytes, 144, scalesOfQ4K),
  Q5_K: (bytes) => fillScaleMin(bytes, 176, scalesOfQ5K),
  Q6_K: fillQ6K,
  IQ4_NL: (bytes) => fillHalves(bytes, 18, 0, scalesOfIQ4NL),
  IQ4_XS: fillIQ4XS,
  IQ3_S: (bytes) => fillGroups(bytes, 110, [106, 107, 108, 109], 0x88, scalesOfIQ3S),
  IQ3_XXS: (bytes) => fillGroups(bytes, 98, every(4, 69, 98), 0x80, scalesOfIQ3XXS),
  IQ2_S: (bytes) => fillGroups(bytes, 82, every(1, 74, 82), 0x88, scalesOfIQ2S),
  IQ2_XS: (bytes) => fillGroups(bytes, 74, every(1, 66, 74), 0x88, scalesOfIQ2XS),
  IQ2_XXS: (bytes) => fillGroups(bytes, 66, every(8, 9, 66), 0x80, scalesOfIQ2XXS),
  MXFP4: fillMXFP4,
}

/** The standard deviation of a whole number drawn evenly from `levels` neighboring ones. */
const uniformDeviation = (levels) => Math.sqrt((levels ** 2 - 1) / 12)

/** The same for a number drawn evenly from these. */
const deviationOf = (values) => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length)

// Sub-block scales have their highest bit set: 32 to 63 of 6 bits, 8 to 15 of 4 bits, or the same of either sign.
const upperHalf = (count) => Array.from({ length: count }, (_, i) => count + i)
const subScaleSize = deviationOf(upperHalf(32))

/** Sixteen scales around `center`, so that blocks differ in size. */
const around = (center) => Array.from({ length: 16 }, (_, i) => center * (0.75 + i / 30))

/** Halves for d where quants deviate by so much. */
const halvesOf = (quantDeviation) => around(deviation / quantDeviation).map(floatToHalf)

/**
 * Halves for d, and for the min so that with equal scales and mins the weights' mean is 0: d * scale * (q - (levels -
 * 1) / 2).
 */
function scaleMinHalves(levels, scaleSize) {
  const scales = around(deviation / scaleSize / uniformDeviation(levels))
  return { d: scales.map(floatToHalf), dmin: scales.map((scale) => floatToHalf((scale * (levels - 1)) / 2)) }
}

/** The same for a min that is added. */
function scaleAndMinHalves(levels) {
  const { d, dmin } = scaleMinHalves(levels, 1)
  return { d, dmin: dmin.map((half) => half | 0x8000) }
}

const scalesOfQ2K = scaleMinHalves(4, deviationOf(upperHalf(8)))
const scalesOfQ3K = halvesOf(uniformDeviation(8) * deviationOf(upperHalf(16)))
const scalesOfQ4K = scaleMinHalves(16, subScaleSize)
const scalesOfQ5K = scaleMinHalves(32, subScaleSize)
const scalesOfQ6K = halvesOf(uniformDeviation(64) * subScaleSize)
const scalesOfQ40 = halvesOf(uniformDeviation(16))
const scalesOfQ41 = scaleAndMinHalves(16)
const scalesOfQ50 = halvesOf(uniformDeviation(32))
const scalesOfQ51 = scaleAndMinHalves(32)
const scalesOfQ80 = halvesOf(uniformDeviation(256))
const scalesOfIQ4NL = halvesOf(deviationOf(iq4Values))
const scalesOfIQ4XS = halvesOf(deviationOf(iq4Values) * deviationOf(upperHalf(16)))
// scales of 4 bits are n for 2n + 1
const oddScaleSize = deviationOf(upperHalf(8).map((n) => 2 * n + 1))
const scalesOfGroups = (grid, unit) => halvesOf(deviationOf(grid().values) * unit * oddScaleSize)
const scalesOfIQ3S = scalesOfGroups(gridIQ3S, 1)
const scalesOfIQ3XXS = scalesOfGroups(gridIQ3XXS, 1 / 4)
const scalesOfIQ2S = scalesOfGroups(gridIQ2S, 1 / 8)
const scalesOfIQ2XS = scalesOfGroups(gridIQ2XS, 1 / 8)
const scalesOfIQ2XXS = scalesOfGroups(gridIQ2XXS, 1 / 8)

function fillFloats(bytes, mean, spread) {
  const bits = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  const floats = new Float32Array(bits.buffer, bits.byteOffset, bits.length)
  for (let i = 0; i < bits.length; i++) floats[i] = mean + (bits[i] / 2 ** 31) * spread
}

/** Evenly spread, 4096 of them. */
const weightHalves = Uint16Array.from({ length: 4096 }, (_, i) => floatToHalf(deviation * Math.sqrt(3) * ((i + 0.5) / 2048 - 1)))

function fillF16(bytes) {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
  for (let i = 0; i < halves.length; i++) halves[i] = weightHalves[halves[i] & 4095]
}

/** A half at `offset` of each block. */
function fillHalves(bytes, blockBytes, offset, halves) {
  for (let at = offset; at < bytes.length; at += blockBytes) writeHalf(bytes, at, halves[bytes[at] & 15])
}

/** The same for two halves in a row, d and its min. */
function fillHalfPairs(bytes, blockBytes, offset, { d, dmin }) {
  for (let at = offset; at < bytes.length; at += blockBytes) {
    const choice = bytes[at] & 15
    writeHalf(bytes, at, d[choice])
    writeHalf(bytes, at + 2, dmin[choice])
  }
}

function fillQ2K(bytes) {
  fillHalfPairs(bytes, 84, 80, scalesOfQ2K)
  for (let at = 0; at < bytes.length; at += 84) {
    for (let b = at; b < at + 16; b++) bytes[b] = (8 | (bytes[b] & 7)) * 0x11 // mins equal to scales
  }
}

/** Makes one of the scales' two high bits the other's opposite: 16 to 31 of either sign. */
const awayFromZero = (bits) => (bits & 0x55) | ((~bits & 0x55) << 1)

function fillQ3K(bytes) {
  fillHalves(bytes, 110, 108, scalesOfQ3K)
  for (let at = 0; at < bytes.length; at += 110) {
    for (let b = at + 104; b < at + 108; b++) bytes[b] = awayFromZero(bytes[b])
  }
}

function fillIQ4XS(bytes) {
  fillHalves(bytes, 136, 0, scalesOfIQ4XS)
  for (let at = 0; at < bytes.length; at += 136) {
    for (let b = at + 2; b < at + 4; b++) bytes[b] = awayFromZero(bytes[b])
  }
}

/** Groups of a grid, d at the start of a block, and the highest bits of the scales at `offsets`, which are set. */
function fillGroups(bytes, blockBytes, offsets, highest, halves) {
  fillHalves(bytes, blockBytes, 0, halves)
  for (let at = 0; at < bytes.length; at += blockBytes) for (const offset of offsets) bytes[at + offset] |= highest
}

function every(step, from, to) {
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step)
}

/** Exponents of real weights: products with random ones would be subnormal, which takes a core a hundred cycles. */
function fillMXFP4(bytes) {
  for (let at = 0; at < bytes.length; at += 17) bytes[at] = exponentMXFP4(1, bytes[at])
}

/**
 * The lower of two neighboring exponents of MXFP4 for `gain` times the usual size, and the upper as often as needed.
 */
export function exponentMXFP4(gain, byte) {
  const size = (deviation * gain) / deviationOf([0, 1, 2, 3, 4, 6, 8, 12])
  const lower = Math.floor(Math.log2(size))
  const upperShare = ((size / 2 ** lower) ** 2 - 1) / 3
  return 128 + lower + (byte < 256 * upperShare ? 1 : 0)
}

function fillScaleMin(bytes, blockBytes, halves) {
  fillHalfPairs(bytes, blockBytes, 0, halves)
  for (let at = 0; at < bytes.length; at += blockBytes) {
    for (let b = at + 4; b < at + 8; b++) {
      bytes[b] |= 0xa0 // the highest bit of scale[j] and of scale[j + 4]
      bytes[b + 4] = bytes[b] // mins equal to scales
      bytes[b + 8] = (bytes[b + 8] & 15) * 0x11
    }
  }
}

function fillQ6K(bytes) {
  fillHalves(bytes, 210, 208, scalesOfQ6K)
  for (let at = 0; at < bytes.length; at += 210) {
    for (let b = at + 192; b < at + 208; b++) bytes[b] = (bytes[b] & 0x80 ? -1 : 1) * (32 | (bytes[b] & 31))
  }
}

function writeHalf(bytes, at, half) {
  bytes[at] = half & 255
  bytes[at + 1] = half >> 8
}
