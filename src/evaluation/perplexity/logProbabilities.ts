// Log-probabilities: of one row of logits, and packed in 16 bits each as llama.cpp's `--kl-divergence-base` stores
// them. Owns the packed row:
//
//     byte 0   float32  scale
//     byte 4   float32  least log-probability
//     byte 8   uint16   (vocabulary, rounded up to even)   log-probability = scale * value + least
//
// A token more than 16 below the most likely one is stored as 16 below it.

import { exp, ln } from '../../base/elementary.js'

const HEAD_BYTES = 8
const DEPTH = 16
const LARGEST = 65535

/** Bytes of a packed row. */
export function packedRowBytes(vocabulary: number): number {
  return HEAD_BYTES + 2 * (vocabulary + (vocabulary % 2))
}

export interface Normal {
  /** Subtracted from logits, it gives log-probabilities. */
  readonly offset: number
  /** The most likely token, the first of equals. */
  readonly top: number
}

/** The normalization that turns a row of logits (vocabulary) into log-probabilities. */
export function normalize(logits: Float32Array): Normal {
  let top = 0
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[top]!) top = i
  const most = logits[top]!
  let sum = 0
  for (const logit of logits) sum += exp(logit - most)
  return { offset: most + ln(sum), top }
}

/** Packs a row of logits (vocabulary) at a byte of `out`. */
export function packRow(logits: Float32Array, { offset, top }: Normal, out: DataView, at: number): void {
  const most = logits[top]!
  let least = most
  for (const logit of logits) if (logit < least) least = logit
  least = Math.max(least, most - DEPTH)
  const scale = Math.fround((most - least) / LARGEST)
  out.setFloat32(at, scale, true)
  out.setFloat32(at + 4, least - offset, true)
  const inverse = scale > 0 ? 1 / scale : 0
  for (const [i, logit] of logits.entries()) {
    const value = logit > least ? Math.min(LARGEST, Math.floor((logit - least) * inverse + 0.5)) : 0
    out.setUint16(at + HEAD_BYTES + 2 * i, value, true)
  }
}

/** Log-probabilities may be above 0 by what rounding to float32 adds to them. */
const ROUNDING = 1e-3

/**
 * Unpacks the row at a byte of `packed` to log-probabilities (vocabulary). Returns undefined, or what is wrong with it,
 * in words: log-probabilities are finite and not above 0.
 */
export function unpackRow(packed: DataView, at: number, out: Float64Array): string | undefined {
  const scale = packed.getFloat32(at, true)
  const least = packed.getFloat32(at + 4, true)
  if (!Number.isFinite(scale) || !Number.isFinite(least)) return `scale ${scale} and least log-probability ${least}, expected finite ones`
  for (let i = 0; i < out.length; i++) out[i] = scale * packed.getUint16(at + HEAD_BYTES + 2 * i, true) + least
  const high = out.findIndex((logProbability) => logProbability > ROUNDING)
  return high < 0 ? undefined : `a log-probability of ${out[high]!.toPrecision(3)} for token ${high}, expected none above 0`
}
