// Another implementation against the reference, layer by layer: both get the same input, so that errors do not add up and the first layer that
// is off is the one to look at. Owns the measure and what it allows; prints nothing.

import type { Gguf } from '../gguf/gguf.js'
import type { ActivationKind } from '../kernels/activation.js'
import { packings } from '../kernels/packing.js'
import { quantizeQ8K, quantizeQ80, quantizeQ81 } from '../quants/activations.js'
import { mixtralTensors, type TensorSlice } from '../weights/mixtralTensors.js'
import { mixtureOfExperts } from './experts.js'
import { type Layer, showTo } from './layer.js'
import { matrixSource } from './matrixSource.js'
import type { Reference } from './reference.js'

/** What is checked: the layers one by one, positions from 0 on, and the final norm with the output matrix. */
export interface LayerByLayer {
  /** (tokens, hidden) -> (tokens, hidden) */
  layer(index: number, x: Float32Array): Promise<Float32Array>
  /** (tokens, hidden) -> (tokens, vocabulary) */
  output(x: Float32Array): Promise<Float32Array>
}

export interface StageCheck {
  readonly stage: number | 'output'
  /** Of the matrices, such as `Q4_K`. */
  readonly types: readonly string[]
  /** RMS of the difference, relative to the RMS of what the stage adds to the stream, or of the logits. */
  readonly error: number
  /** The same of the token where it is largest. */
  readonly worstToken: number
  /** What `error` may be; one token may be four times as far off. */
  readonly allowed: number
  /** Tokens whose last expert is the runner-up of the reference, where the two are so close that rounding decides. */
  readonly rerouted: number
  readonly ok: boolean
}

// What a layer may be off by before any 8-bit rounding: keys and values are kept in half precision. Measured: 2e-4 where attention is spread, 1e-3
// where it is sharp.
const HALF_ROUNDING = 3e-3
// And the output: sums in single precision. Measured: 2e-7.
const SINGLE_ROUNDING = 1e-5

/**
 * Compares all layers and the output, one result after the other. Activations that meet quantised weights may be rounded to 8 bits, as in ggml;
 * `allowed` is twice the error which that rounding makes in the reference's own activations. Throws what the two implementations throw.
 * @param gguf the file that both have open
 * @param tokens at least one id, at most as many as `kernels` takes in a step
 */
export async function* compareStages(
  reference: Reference,
  kernels: LayerByLayer,
  gguf: Gguf,
  tokens: readonly number[],
): AsyncGenerator<StageCheck> {
  const { config } = reference
  const { hiddenSize, intermediateSize, vocabSize } = config
  const { layers, output } = mixtralTensors(config, gguf)
  const { load } = matrixSource(gguf)
  let x = Float32Array.from(reference.embed(tokens)) // (tokens, hidden), what both get
  for (const [stage, tensors] of layers.entries()) {
    const seen = new Map<string, Float64Array>()
    const expected = reference.layer(stage, Float64Array.from(x), (name, values) => seen.set(name.replace(`-${stage}`, ''), values))
    const found = await kernels.layer(stage, x)

    const attention = [tensors.attnQ, tensors.attnK, tensors.attnV, tensors.attnOutput]
    const inputs = tensors.experts.flatMap(({ ffnGate, ffnUp }) => [ffnGate, ffnUp])
    const outputs = tensors.experts.map(({ ffnDown }) => ffnDown)
    const attentionRounding = roundingError(seen.get('attn_norm')!, hiddenSize, attention)
    const allowed = allow(HALF_ROUNDING, [
      attentionRounding,
      attentionRounding, // of attention's result before its last matrix, much like that of its input
      roundingError(seen.get('ffn_norm')!, hiddenSize, inputs),
      roundingError(seen.get('ffn_moe_gate_par')!, intermediateSize, outputs),
    ])
    const errors = tokenErrors(found, expected, (i) => expected[i]! - x[i]!, hiddenSize)
    const other = reroute(errors, found, { config, tensors, load, show: showTo(undefined, '') }, seen, allowed)
    const types = typesOf([...attention, ...inputs, ...outputs])
    yield {
      stage,
      types,
      allowed,
      rerouted: other.size,
      ...judge(
        errors.map((error, token) => other.get(token) ?? error),
        allowed,
      ),
    }
    x = Float32Array.from(expected)
  }

  let norm: Float64Array = new Float64Array()
  const expected = reference.output(Float64Array.from(x), (name, values) => {
    if (name === 'result_norm') norm = values
  })
  const allowed = allow(SINGLE_ROUNDING, [roundingError(norm, hiddenSize, [output])])
  const errors = tokenErrors(await kernels.output(x), expected, (i) => expected[i]!, vocabSize)
  yield { stage: 'output', types: typesOf([output]), allowed, rerouted: 0, ...judge(errors, allowed) }
}

/**
 * The tokens that are far off because rounding in attention tipped the router: their errors from what the layer gives with the runner-up in place of
 * the last expert chosen.
 */
function reroute(
  errors: readonly TokenError[],
  found: Float32Array,
  layer: Layer,
  seen: ReadonlyMap<string, Float64Array>,
  allowed: number,
) {
  const { hiddenSize: hidden, experts, expertsPerToken: used } = layer.config
  const middle = seen.get('ffn_inp')! // (tokens, hidden)
  const norm = seen.get('ffn_norm')! // (tokens, hidden)
  const logits = seen.get('ffn_moe_logits')! // (tokens, experts)
  // How far attention's error may move a logit, as a share of the logits' spread.
  const unsure = (4 * allowed * rms(seen.get('kqv_out')!)) / rms(middle)
  const others = new Map<number, TokenError>()
  for (const [token, error] of errors.entries()) {
    if (used === experts || relative([error]) <= allowed) continue
    const scores = logits.subarray(token * experts, (token + 1) * experts)
    const order = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b)
    const gap = scores[order[used - 1]!]! - scores[order[used]!]!
    const spread = rms(scores.map((score) => score - sum(scores) / experts))
    if (gap > unsure * spread) continue

    // A router that gives this token's runner-up just enough more.
    const input = norm.slice(token * hidden, (token + 1) * hidden)
    const router = layer.load(layer.tensors.ffnGateInp)
    const values = router.values.slice()
    const push = (gap + spread / 1000) / sum(input.map((value) => value * value))
    for (const [i, value] of input.entries()) values[order[used]! * hidden + i]! += push * value
    const load: Layer['load'] = (slice) => (slice === layer.tensors.ffnGateInp ? { ...router, values } : layer.load(slice))
    const thought = mixtureOfExperts({ ...layer, load }, input)
    const expected = thought.map((value, i) => middle[token * hidden + i]! + value)
    const [other] = tokenErrors(found.subarray(token * hidden, (token + 1) * hidden), expected, () => 0, hidden)
    if (other!.error < error.error) others.set(token, { error: other!.error, scale: error.scale })
  }
  return others
}

interface TokenError {
  /** Sum of squares of the difference, and of what it is relative to. */
  readonly error: number
  readonly scale: number
}

/** found and expected: (tokens, width); relativeTo: the element that the difference at i is measured by */
function tokenErrors(found: Float32Array, expected: Float64Array, relativeTo: (i: number) => number, width: number): TokenError[] {
  return Array.from({ length: expected.length / width }, (_, token) => {
    let error = 0
    let scale = 0
    for (let i = token * width; i < (token + 1) * width; i++) {
      error += (found[i]! - expected[i]!) ** 2
      scale += relativeTo(i) ** 2
    }
    return { error, scale }
  })
}

function relative(errors: readonly TokenError[]): number {
  return Math.sqrt(sum(errors.map(({ error }) => error)) / sum(errors.map(({ scale }) => scale)))
}

function judge(errors: readonly TokenError[], allowed: number) {
  const error = relative(errors)
  const worstToken = Math.max(...errors.map((token) => relative([token])))
  return { error, worstToken, ok: error <= allowed && worstToken <= 4 * allowed }
}

/** Independent errors add up like the sides of a right angle; twice that is allowed. */
function allow(rounding: number, roundings: readonly number[]): number {
  return rounding + 2 * Math.sqrt(sum(roundings.map((one) => one * one)))
}

/** RMS error of x, (n, width), rounded to 8 bits as the kernels do it for these matrices, relative to its RMS; of several ways the worst. */
function roundingError(x: Float64Array, width: number, slices: readonly TensorSlice[]): number {
  const kinds = new Set(slices.map(({ type }) => packings[type.name]!.activation))
  return Math.max(...[...kinds].map((kind) => (kind === 'f32' ? 0 : rms(roundingDifference(x, width, kind)) / rms(x))))
}

const quantize = { q8_k: quantizeQ8K, q8_0: quantizeQ80, q8_1: quantizeQ81 }

function roundingDifference(x: Float64Array, width: number, kind: Exclude<ActivationKind, 'f32'>): Float64Array {
  const difference = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += width) {
    const row = Float32Array.from(x.subarray(start, start + width))
    const { d, q } = quantize[kind](row)
    const block = width / d.length
    for (let i = 0; i < width; i++) difference[start + i] = d[Math.floor(i / block)]! * q[i]! - row[i]!
  }
  return difference
}

function typesOf(slices: readonly TensorSlice[]): string[] {
  return [...new Set(slices.map(({ type }) => type.name))]
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}

const rms = (x: Float64Array) => Math.sqrt(sum(x.map((value) => value * value)) / x.length)
