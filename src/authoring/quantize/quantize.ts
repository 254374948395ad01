// Rewrites a model: with other block types, in the other layout of experts, in more or fewer shards. Streams through
// the team's threads, so that memory does not grow with the file. Owns the options and what is refused before a byte is
// read.

import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import { checkText, MixtralError, shown } from '../../base/errors.js'
import { refuseInput } from '../../base/files/draftFile.js'
import type { GgufDraft } from '../../format/gguf/ggufDraft.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import { type AdapterChoice, AdapterSet, checkAdapters } from '../../runtime/adapters/adapterSet.js'
import { checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import { runReported, Team } from '../../runtime/team/team.js'
import { knownFiles } from '../../runtime/weights/fileReader.js'
import { configOf } from '../../runtime/weights/mixtralConfig.js'
import { mixtralTensors } from '../../runtime/weights/mixtralTensors.js'
import { readImatrix } from '../imatrix/imatrixFile.js'
import { type RareExpert, rareExperts } from '../imatrix/rareExperts.js'
import { type MergedTensor, mergedTensors } from './adapterMerge.js'
import { type ExpertLayout, expertLayouts } from './expertLayout.js'
import { planQuantization, type QuantizePlan, type QuantizeType, quantizeTypes } from './quantizePlan.js'
import { unitsOf, type WeightRun } from './units.js'
import type { WorkerData } from './worker.js'

export interface QuantizeOptions {
  /**
   * The layout of the experts in the output. Default: `merged`, which every program reads.
   * `per-expert` is the layout from before April 2024.
   */
  readonly layout?: ExpertLayout
  /** Write shards, NAME-00001-of-00003.gguf and so on, of at most this many bytes of tensors. Default: one file. */
  readonly shardBytes?: number
  /** Also quantize tensors that are quantized already. Default: false, they are refused. */
  readonly requantize?: boolean
  /** The path of an importance matrix, of this library or llama.cpp: errors count as it says. Default: none. */
  readonly imatrix?: string
  /**
   * LoRA adapters to merge into the weights, by path or with a scale: GGUF files, or folders as PEFT writes them. The
   * tensors that they change are rounded again, also with `copy`; `merged` of the result says what that loses.
   */
  readonly adapters?: readonly (string | AdapterChoice)[]
  /** Worker threads. Default: the cores that this process may use. */
  readonly threads?: number
  readonly signal?: AbortSignal
  /** Called several times a second, in bytes of the input. */
  readonly onProgress?: (progress: Progress) => void
}

export interface QuantizeResult {
  /** The files that were written, in order. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
  /** The weights of all tensors. */
  readonly weights: number
  /** The number of tensors of each type. */
  readonly types: Readonly<Record<string, number>>
  /** Tensors, or experts of tensors, that the importance matrix, if there is one, should know and does not. */
  readonly unweighed: readonly string[]
  /** Experts that few tokens reached while the importance matrix, if there is one, was collected. */
  readonly rareExperts: readonly RareExpert[]
  /** The tensors that adapters, if there are any, have changed. */
  readonly merged: readonly MergedTensor[]
}

/**
 * Writes the model at `input`, any shard of a sharded one, to `output` in `type`. `Q4_K_M` and the like choose a block
 * type per tensor as llama.cpp does; `copy` keeps the weights and changes only layout and shards. `output` gets its
 * name when all of it is written; if anything fails, a file of that name is left as it was.
 *
 * Throws `GGUF`, `MODEL` or `UNSUPPORTED` for an input that is damaged, not a Mixtral, or of types without support;
 * `GGUF` for a damaged importance matrix or adapter, `CHECKPOINT` for a malformed folder of one, `MODEL` and
 * `UNSUPPORTED` for one that does not fit; `OPTION` for an impossible option, an input that is quantized already, an
 * importance matrix that is missing or of another model, or an output that would replace an input;
 * `IO`, first of all if the disk has no room; `THREAD`; `ABORTED`.
 * @example await quantizeModel('mixtral-F16.gguf', 'mixtral-Q4_K_M.gguf', 'Q4_K_M')
 */
export async function quantizeModel(
  input: string,
  output: string,
  type: QuantizeType,
  options: QuantizeOptions = {},
): Promise<QuantizeResult> {
  const {
    layout,
    shardBytes,
    requantize,
    imatrix: imatrixPath,
    adapters: chosen,
    threads,
    signal,
    onProgress,
  } = checkOptions(type, options)
  checkText('the output', output)
  const gguf = await openGguf(input)
  const config = configOf(gguf)
  mixtralTensors(config, gguf)
  const weighing = imatrixPath === undefined ? undefined : { imatrix: await readImatrix(imatrixPath), file: basename(imatrixPath) }
  const adapters = await AdapterSet.open(chosen, config, { signal })
  const plan = planQuantization(gguf, config, { type, layout, requantize, weighing, adapters })
  const others = [...(imatrixPath === undefined ? [] : [imatrixPath]), ...adapters.files]
  const inputs = [...gguf.files.map(({ path }) => path), ...others]
  const { GgufDraft } = await import('../../format/gguf/ggufDraft.js')
  const draft = await GgufDraft.create(output, plan, shardBytes)
  try {
    for (const { target } of draft.files) await refuseInput(target, inputs)
    const tensors = runsOf(plan, draft)
    const parts = tensors.flatMap(({ runs }) => runs)
    const shared: WorkerData = { parts, inputs: knownFiles(gguf.files), outputs: draft.files.map((file) => file.path) }
    const team = new Team({ threads, worker: new URL('./worker.js', import.meta.url).href, shared: () => shared })
    const total = plan.sources.flat().reduce((sum, { bytes }) => sum + bytes, 0)
    try {
      await runReported(team, 1, total, { signal, onProgress })
    } finally {
      await team.close()
    }
    await draft.publish(signal)
    const types: Record<string, number> = {}
    for (const tensor of plan.tensors) types[tensor.type.name] = (types[tensor.type.name] ?? 0) + 1
    return {
      files: draft.files.map(({ target, bytes }) => ({ path: target, bytes })),
      weights: parts.reduce((sum, part) => sum + part.weights, 0),
      types,
      unweighed: plan.unweighed,
      rareExperts: weighing ? rareExperts(weighing.imatrix) : [],
      merged: mergedTensors(tensors),
    }
  } finally {
    await draft.discard()
  }
}

/** The runs of weights of each tensor, with their places in the input and in the output. */
function runsOf({ sources, importances, changes }: QuantizePlan, draft: GgufDraft): { name: string; runs: WeightRun[] }[] {
  return draft.tensors.map(({ name, type, shape, file, offset, bytes }, n) => {
    const each = bytes / sources[n]!.length
    const importance = importances[n]
    const values = importance && importance.length / sources[n]!.length
    const runs = sources[n]!.map((source, i): WeightRun => {
      const weights = (source.bytes / source.type.blockBytes) * source.type.blockWeights
      return {
        name: source.name,
        from: source,
        to: { type, file, offset: offset + i * each },
        weights,
        importance: importance && { values: importance.subarray(i * values!, (i + 1) * values!), columns: shape[0]! },
        merge: mergeOf(changes[n], i, sources[n]!.length, weights, shape),
      }
    })
    return { name, runs }
  })
}

/** What is merged into one of the runs of a tensor; undefined if nothing is merged into the tensor. */
function mergeOf(changes: QuantizePlan['changes'][number], run: number, runs: number, weights: number, shape: readonly number[]) {
  if (!changes) return undefined
  const each = changes.length / runs
  const matrices = changes.slice(run * each, (run + 1) * each)
  const squares = new Float64Array(new SharedArrayBuffer(16 * unitsOf({ weights })))
  return { matrices, columns: shape[0]!, perMatrix: weights / each, squares }
}

/** The options with their defaults. Throws `OPTION` for an unknown or impossible one. */
function checkOptions(type: QuantizeType, given: QuantizeOptions) {
  const options = checkCallOptions(given, ['layout', 'shardBytes', 'requantize', 'imatrix', 'adapters', 'threads'])
  const { layout = 'merged', shardBytes, requantize = false, threads = availableParallelism() } = options
  if (!quantizeTypes.includes(type)) {
    throw new MixtralError('OPTION', `type is ${shown(type)}, expected one of ${quantizeTypes.join(', ')}`)
  }
  if (!expertLayouts.includes(layout)) {
    throw new MixtralError('OPTION', `layout is ${shown(layout)}, expected one of ${expertLayouts.join(', ')}`)
  }
  for (const [name, value] of Object.entries({ shardBytes: shardBytes ?? 1, threads })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected a whole number from 1`)
  }
  const adapters = checkAdapters(options.adapters)
  if (type === 'copy' && options.imatrix !== undefined && adapters.length === 0)
    throw new MixtralError('OPTION', 'copy keeps every weight as it is, expected no importance matrix')
  return { ...options, adapters, layout, requantize, threads }
}
