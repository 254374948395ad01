// Whether the kernels compute this model right on this machine: all weights, one matrix after the other, and a forward pass, one stage after the other. Owns the verdict;
// what is compared with what is model/weightCheck.ts and stageCheck.ts. Prints nothing.

import { MixtralError } from '../../base/errors.js'
import type { WeightFindings } from '../../runtime/engine/check/weightFindings.js'
import type { WeightPart } from '../../runtime/engine/check/weightParts.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import { matrixSource } from '../../runtime/weights/matrixSource.js'
import { mixtralTensors } from '../../runtime/weights/mixtralTensors.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { type Fault, StageCheck } from './stageCheck.js'

/** Of the weights of a layer (-1: the embedding; the number of layers: the output), or of one block format. */
export interface Verdict {
  /** The matrices' formats, such as `Q4_K`. */
  readonly types: readonly string[]
  readonly matrices: number
  /** Of the matrix that is worst: RMS of the difference from exact products, relative to their RMS. Mostly what rounding activations to 8 bits costs. */
  readonly error: number
  /** Of the row that is worst: its difference as a share of what the format allows. Above 1 is a fault. */
  readonly worstShare: number
  readonly faults: readonly Fault[]
}

export interface LayerVerdict extends Verdict {
  readonly layer: number
}

export interface Verification {
  readonly layers: readonly LayerVerdict[]
  readonly formats: readonly Verdict[]
  /** All of them. None: the kernels are right. */
  readonly faults: readonly Fault[]
}

export interface VerifyOptions {
  readonly signal?: AbortSignal
  /** In bytes of the file. */
  readonly onProgress?: (progress: Progress) => void
  /** Called with each layer when it is done. */
  readonly onLayer?: (verdict: LayerVerdict) => void
}

/** Most tokens of the forward pass; also not more than the model takes in a step. */
export const MOST_TOKENS = 64

/** What the package exports under this name: described in index.ts. */
export async function verifyModel(model: MixtralModel, tokens: readonly number[], options: VerifyOptions = {}): Promise<Verification> {
  const { signal, onProgress, onLayer } = options
  const most = Math.min(MOST_TOKENS, model.batchSize)
  if (tokens.length < 1 || tokens.length > most)
    throw new MixtralError('OPTION', `${tokens.length} tokens to verify with, expected 1 to ${most}`)
  const inPass = await passFaults(model, tokens, signal)
  const parts: (WeightPart & WeightFindings)[] = []
  const layers: LayerVerdict[] = []
  const finish = (layer: number) => {
    const ofLayer = <T extends { readonly layer: number }>(all: readonly T[]) => all.filter((one) => one.layer === layer)
    const verdict = { layer, ...verdictOf(ofLayer(parts), ofLayer(inPass)) }
    layers.push(verdict)
    onLayer?.(verdict)
  }
  const calls = { ...(signal && { signal }), ...(onProgress && { onProgress }) }
  for await (const part of model.checkWeights(calls)) {
    const before = parts.at(-1)
    if (before && before.layer !== part.layer) finish(before.layer)
    parts.push(part)
  }
  finish(model.config.layers)
  const types = [...new Set(parts.map(({ slice }) => slice.type.name))]
  return {
    layers,
    formats: types.map((type) =>
      verdictOf(
        parts.filter(({ slice }) => slice.type.name === type),
        [],
      ),
    ),
    faults: layers.flatMap(({ faults }) => faults),
  }
}

/** A forward pass of the kernels, each stage on its own. */
async function passFaults(model: MixtralModel, tokens: readonly number[], signal: AbortSignal | undefined): Promise<Fault[]> {
  const { config, gguf, kvFormat } = model
  const check = new StageCheck(config, mixtralTensors(config, gguf), matrixSource(gguf), kvFormat)
  const faults: Fault[] = []
  let x: ArrayLike<number> = [] // what the last stage has left in the stream
  let taps = new Map<string, ArrayLike<number>>()
  for await (const { name, values } of model.traceEach(tokens, { ...(signal && { signal }) })) {
    const [, plain, layer] = /^(.*?)(?:-(\d+))?$/.exec(name)!
    taps.set(taps.has(plain!) ? `${plain}-rotated` : plain!, values)
    if (plain === 'inp_embd') faults.push(...check.embedding(tokens, taps))
    else if (plain === 'l_out') faults.push(...check.layer(Number(layer), x, taps))
    else if (plain === 'result_output') faults.push(...check.output(x, taps))
    else continue
    x = values
    taps = new Map()
  }
  return faults
}

function verdictOf(parts: readonly (WeightPart & WeightFindings)[], inPass: readonly Fault[]): Verdict {
  const most = (value: (part: WeightFindings) => number) => parts.reduce((largest, part) => Math.max(largest, value(part)), 0)
  return {
    types: [...new Set(parts.filter(({ slice }) => slice.rows > 1).map(({ slice }) => slice.type.name))],
    matrices: parts.length,
    error: most(({ error }) => error),
    worstShare: most(({ worstShare }) => worstShare),
    faults: [...parts.flatMap(faultsOf), ...inPass],
  }
}

/** What is wrong with a matrix: that its bytes are others explains its products. */
function faultsOf({ slice, layer, expert, load, ...found }: WeightPart & WeightFindings): Fault[] {
  const tensor = expert === undefined ? slice.name : `${slice.name}, expert ${expert}`
  const fault = (problem: string): Fault[] => [{ layer, tensor, problem }]
  const ofAll = `of ${slice.rows} rows`
  if (found.unlikeFile) {
    const what = load?.packed === false ? 'not those of the file' : 'not what the file packs to'
    return fault(`in memory ${Math.min(found.unlikeFile, slice.rows)} ${ofAll} are ${what}, from row ${found.firstUnlike} on`)
  }
  if (found.unlikeOracle)
    return fault(`the products of ${found.unlikeOracle} ${ofAll} are not the oracle's, the first is row ${found.firstOff}`)
  if (!(found.worstShare <= 1)) return fault(`a product is off by ${found.worstShare.toPrecision(3)} times what ${slice.type.name} allows`)
  return []
}
