// Random weights of mean 0 and standard deviation 0.02, like a trained model's, in every block format that Q4_K_M and Q8_0 files use. All
// bits of the quants are random; a block's scales are then set so that its values come out at that size. Byte tables: src/quants/.

import { floatToHalf } from '../dist/quants/half.js'

const deviation = 0.02

/** Marsaglia's xorshift128: fast, and its period of 2^128 is longer than any file. */
export class Random {
  #state

  constructor(seed) {
    this.#state = [123456789 ^ seed, 362436069, 521288629, 88675123]
    this.fill(new Uint8Array(256)) // seeds that differ little have parted by then
  }

  /** Overwrites `bytes` with random bits, and up to three bytes after them. `bytes` must start at a multiple of 4 in its buffer. */
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
  Q8_0: fillQ80,
  Q4_K: (bytes) => fillScaleMin(bytes, 144, scalesOfQ4K),
  Q5_K: (bytes) => fillScaleMin(bytes, 176, scalesOfQ5K),
  Q6_K: fillQ6K,
}

/** The standard deviation of a whole number drawn evenly from `levels` neighbouring ones. */
const uniformDeviation = (levels) => Math.sqrt((levels ** 2 - 1) / 12)

// Sub-block scales are 6 bits with the highest one set, 32 to 63.
const subScaleSquares = Array.from({ length: 32 }, (_, i) => (32 + i) ** 2)
const subScaleSize = Math.sqrt(subScaleSquares.reduce((sum, square) => sum + square) / 32)

/** Sixteen scales around `center`, so that blocks differ in size. */
const around = (center) => Array.from({ length: 16 }, (_, i) => center * (0.75 + i / 30))

/** Halves for d, and for dmin so that with equal scales and mins the weights' mean is 0: d * scale * (q - (levels - 1) / 2). */
function scaleMinHalves(levels) {
  const scales = around(deviation / subScaleSize / uniformDeviation(levels))
  return { d: scales.map(floatToHalf), dmin: scales.map((scale) => floatToHalf((scale * (levels - 1)) / 2)) }
}

const scalesOfQ4K = scaleMinHalves(16)
const scalesOfQ5K = scaleMinHalves(32)
const scalesOfQ6K = around(deviation / subScaleSize / uniformDeviation(64)).map(floatToHalf)
const scalesOfQ80 = around(deviation / uniformDeviation(256)).map(floatToHalf)

function fillFloats(bytes, mean, spread) {
  const bits = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  const floats = new Float32Array(bits.buffer, bits.byteOffset, bits.length)
  for (let i = 0; i < bits.length; i++) floats[i] = mean + (bits[i] / 2 ** 31) * spread
}

function fillQ80(bytes) {
  for (let at = 0; at < bytes.length; at += 34) writeHalf(bytes, at, scalesOfQ80[bytes[at] & 15])
}

function fillScaleMin(bytes, blockBytes, { d, dmin }) {
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const choice = bytes[at] & 15
    writeHalf(bytes, at, d[choice])
    writeHalf(bytes, at + 2, dmin[choice])
    for (let b = at + 4; b < at + 8; b++) {
      bytes[b] |= 0xa0 // the highest bit of scale[j] and of scale[j + 4]
      bytes[b + 4] = bytes[b] // mins equal to scales
      bytes[b + 8] = (bytes[b + 8] & 15) * 0x11
    }
  }
}

function fillQ6K(bytes) {
  for (let at = 0; at < bytes.length; at += 210) {
    for (let b = at + 192; b < at + 208; b++) bytes[b] = (bytes[b] & 0x80 ? -1 : 1) * (32 | (bytes[b] & 31))
    writeHalf(bytes, at + 208, scalesOfQ6K[bytes[at + 208] & 15])
  }
}

function writeHalf(bytes, at, half) {
  bytes[at] = half & 255
  bytes[at + 1] = half >> 8
}
