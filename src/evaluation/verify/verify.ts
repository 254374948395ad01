// Checks that the kernels compute a model correctly on this machine: all weights, one tensor at a time, and a forward
// pass, stage by stage. Owns the verdict. The weights are compared by the engine (engine/check/), the stages by
// stageCheck.ts. Prints nothing.

import { checkKind, checkTokenList, listCopy, MixtralError } from '../../base/errors.js'
import { Told } from '../../base/onAbort.js'
import { checkCallOptions, type TokenIds } from '../../runtime/engine/callArguments.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import { matrixSource } from '../../runtime/weights/matrixSource.js'
import { mixtralTensors } from '../../runtime/weights/mixtralTensors.js'
import type { CheckedTensor } from '../../text/generate/checkedTensor.js'
import { MixtralModel } from '../../text/generate/mixtralModel.js'
import type { Fault } from './stageCheck.js'

/** What was found of the tensors of one layer, or of one block format. */
export interface Verdict {
  /** The matrices' formats, such as `Q4_K`. */
  readonly types: readonly string[]
  /** Number of tensors checked; each expert's matrices count. */
  readonly matrices: number
  /**
   * Relative error of the worst matrix: the RMS of the difference from exact products, divided by their RMS. Most of it
   * is the cost of rounding activations to 8 bits.
   */
  readonly error: number
  /** Error of the worst row, as a share of what its format allows. Above 1 is a fault. */
  readonly worstShare: number
  readonly faults: readonly Fault[]
}

export interface LayerVerdict extends Verdict {
  /** Index of the layer. -1: the embedding. The number of layers: the output. */
  readonly layer: number
}

export interface Verification {
  readonly layers: readonly LayerVerdict[]
  readonly formats: readonly Verdict[]
  /** The faults of all layers. None: the kernels are right. */
  readonly faults: readonly Fault[]
}

export interface VerifyOptions {
  readonly signal?: AbortSignal
  /** Called with bytes of the file that are checked. */
  readonly onProgress?: (progress: Progress) => void
  /** Called with each layer when it is done. */
  readonly onLayer?: (verdict: LayerVerdict) => void
}

/** Largest number of tokens in the forward pass. The model's largest step limits it too. */
export const MOST_TOKENS = 64

/**
 * Checks a loaded model. First a forward pass of `tokens`, in which each stage is compared with float64 arithmetic on
 * its own inputs. Then every tensor: its bytes in memory with those of the file, its products with the oracle of its
 * format, bit for bit, and with exact arithmetic. A product with a quantized matrix may differ by what rounding its
 * input to 8 bits can cost: for every block of the input half a step, times the sum of the magnitudes of the weights
 * that it meets.
 *
 * Throws `OPTION` for what is no model, for no tokens or too many; `TOKENIZER` for an id outside the vocabulary; `IO`;
 * `THREAD`; `ABORTED`; `CLOSED`.
 * @example const { faults } = await verifyModel(model, model.tokenizer.encodePrompt('Once upon a time'))
 */
export async function verifyModel(model: MixtralModel, given: TokenIds, options: VerifyOptions = {}): Promise<Verification> {
  checkKind('the model', model, model instanceof MixtralModel, 'a MixtralModel')
  checkTokenList(given)
  const { signal, onProgress, onLayer } = checkCallOptions(options, ['onLayer'])
  const tokens = listCopy(given)
  if (onLayer !== undefined && typeof onLayer !== 'function') throw new MixtralError('OPTION', 'onLayer is not a function')
  const most = Math.min(MOST_TOKENS, model.batchSize)
  if (tokens.length < 1 || tokens.length > most)
    throw new MixtralError('OPTION', `${tokens.length} tokens to verify with, expected 1 to ${most}`)
  const inPass = await passFaults(model, tokens, signal)
  const checked: CheckedTensor[] = []
  const layers: LayerVerdict[] = []
  const done = new Told(onLayer)
  const finish = (layer: number) => {
    const ofLayer = <T extends { readonly layer: number }>(all: readonly T[]) => all.filter((one) => one.layer === layer)
    const verdict = { layer, ...verdictOf(ofLayer(checked), ofLayer(inPass)) }
    layers.push(verdict)
    done.next(verdict)
  }
  const calls = { ...(signal && { signal }), ...(onProgress && { onProgress }) }
  for await (const tensor of model.checkWeights(calls)) {
    const before = checked.at(-1)
    if (before && before.layer !== tensor.layer) finish(before.layer)
    checked.push(tensor)
  }
  finish(model.config.layers)
  await done.end()
  const ofType = (wanted: string) => checked.filter(({ type }) => type === wanted)
  return {
    layers,
    formats: [...new Set(checked.map(({ type }) => type))].map((type) => verdictOf(ofType(type), [])),
    faults: layers.flatMap(({ faults }) => faults),
  }
}

/** The faults in a forward pass of the kernels, each stage checked on its own inputs. */
async function passFaults(model: MixtralModel, tokens: readonly number[], signal: AbortSignal | undefined): Promise<Fault[]> {
  const { StageCheck } = await import('./stageCheck.js')
  const { config, gguf, memory } = model
  const check = new StageCheck(config, mixtralTensors(config, gguf), matrixSource(gguf), memory.kvFormat)
  const faults: Fault[] = []
  let x: ArrayLike<number> = [] // (tokens, hidden) the residual stream after the last stage checked
  let taps = new Map<string, ArrayLike<number>>()
  for await (const { name, values } of model.traceEach(tokens, { adapters: [], ...(signal && { signal }) })) {
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

function verdictOf(tensors: readonly CheckedTensor[], inPass: readonly Fault[]): Verdict {
  const most = (value: (tensor: CheckedTensor) => number) => tensors.reduce((largest, tensor) => Math.max(largest, value(tensor)), 0)
  return {
    types: [...new Set(tensors.filter(({ rows }) => rows > 1).map(({ type }) => type))],
    matrices: tensors.length,
    error: most(({ error }) => error),
    worstShare: most(({ worstShare }) => worstShare),
    faults: [...tensors.flatMap(faultsOf), ...inPass],
  }
}

/** The fault of a tensor, or none. Bytes that differ from the file's explain wrong products, so only they are named. */
function faultsOf({ name, layer, expert, type, rows, packed, ...found }: CheckedTensor): Fault[] {
  const tensor = expert === undefined ? name : `${name}, expert ${expert}`
  const fault = (problem: string): Fault[] => [{ layer, tensor, problem }]
  const ofAll = `of ${rows} rows`
  if (found.unlikeFile) {
    const what = packed ? 'not what the file packs to' : 'not those of the file'
    return fault(`in memory ${Math.min(found.unlikeFile, rows)} ${ofAll} are ${what}, from row ${found.firstUnlike} on`)
  }
  if (found.unlikeOracle)
    return fault(`the products of ${found.unlikeOracle} ${ofAll} are not the oracle's, the first is row ${found.firstOff}`)
  if (!(found.worstShare <= 1)) return fault(`a product is off by ${found.worstShare.toPrecision(3)} times what ${type} allows`)
  return []
}
