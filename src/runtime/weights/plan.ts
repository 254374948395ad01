// Which tensor lies where, decided before a byte is read. Weights fill banks (memories of at most 4 GiB) in the order
// in which a token needs them. A layer's attention weights and KV cache share a bank; an expert (gate, up, down) is one
// contiguous slot. Pure: allocates nothing, reads nothing.

import { byteCount } from '../../base/amounts.js'
import { MixtralError } from '../../base/errors.js'
import { bytesIn } from '../../format/gguf/ggmlType.js'
import type { KernelBuild, KvFormat } from '../kernels/abi.js'
import {
  BankLayout,
  bytesOf,
  expertBytes,
  LARGEST_BANK,
  type Load,
  type PlacedMatrix,
  rawBytes,
  type Slot,
  slotSizes,
} from './bankLayout.js'
import type { Guard } from './guards.js'
import type { MixtralConfig } from './mixtralConfig.js'
import { type ExpertTensors, expandedTensors, type MixtralTensors } from './mixtralTensors.js'
import { kvHeadBytes, pagesOf } from './pages.js'
import { isVector, type LayerMatrix, type LayerVector, layerRoles } from './roles.js'
import { planScratch, type Scratch } from './scratch.js'
import { type SharedSizes, sharedSizes } from './sharedSizes.js'

/** The vectors of a layer by their addresses, as `attnNormAt`, and its matrices, all in one bank. */
type PlacedRoles = Readonly<Record<`${LayerVector}At`, number> & Record<LayerMatrix, PlacedMatrix>>

export interface PlacedLayer extends PlacedRoles {
  /** Where this layer's attention and router run. */
  readonly bank: number
  /** (kvHeads, pages, headDim, 32). */
  readonly keysAt: number
  /** (kvHeads, pages, 32, headDim). */
  readonly valuesAt: number
  /** The experts' tensors in the file. In memory they lie in slots. */
  readonly experts: readonly ExpertTensors[]
}

/** How experts are read while the others compute. */
export interface StreamingPlan {
  /** Threads that only read: the disk works on one read of each at a time. */
  readonly readers: number
  /** Staging buffers that they read into: rows may wait in them for a few milliseconds to be repacked. */
  readonly buffers: number
}

export interface Plan {
  readonly build: KernelBuild
  readonly threads: number
  /**
   * Set if there are fewer slots than experts, so that experts are streamed (residency/): read when needed, and
   * evicted.
   */
  readonly streaming?: StreamingPlan
  /** Most tokens of one step. */
  readonly batchSize: number
  /** Most positions of a sequence. */
  readonly contextLength: number
  /** Most sequences of one step. */
  readonly sequences: number
  /** How many adapters there are. Default: none. */
  readonly adapters?: number
  /** Pages of the KV cache, which all sequences share. */
  readonly pages: number
  readonly kvFormat: KvFormat
  readonly scratch: Scratch
  /** Bytes of each bank. */
  readonly banks: readonly number[]
  /** Embeddings stay in the file's blocks: rows are looked up, not multiplied. */
  readonly tokenEmbd: { readonly bank: number; readonly at: number; readonly type: string; readonly rowBytes: number }
  readonly layers: readonly PlacedLayer[]
  /**
   * One for each expert, in the order of the layers; or, if experts are streamed, slots that take any expert of their
   * size.
   */
  readonly slots: readonly Slot[]
  readonly outputNormAt: number
  /** Its bank also holds outputNorm and the logits. */
  readonly output: PlacedMatrix
  /** (batchSize, vocabulary rounded up to 4) f32. */
  readonly logitsAt: number
  /** Tensors that are loaded before the first step. */
  readonly loads: readonly Load[]
  /** Bytes of weights in memory, empty slots included. */
  readonly weightBytes: number
  readonly kvBytes: number
  /** Bytes of all banks: weights, KV cache and scratch. */
  readonly bytes: number
  /** Guard bytes behind every area of every bank; none unless they are asked for. */
  readonly guards: readonly Guard[]
}

export interface PlanOptions {
  readonly build: KernelBuild
  readonly threads: number
  readonly batchSize: number
  readonly contextLength: number
  /** Most sequences of one step. Default 1. */
  readonly sequences?: number
  /** Tokens that the KV cache has space for, of all sequences together. Default: contextLength. */
  readonly kvTokens?: number
  /** How keys and values are kept. Default: f16, but f32 where the file's own key weights are F32. */
  readonly kvFormat?: KvFormat
  /** Bytes a bank is filled to, at most LARGEST_BANK. What must share a bank and is larger gets a bank of its own. */
  readonly bankBytes?: number
  /** Most bytes of all banks together: experts that do not fit are read when needed. Default: no limit. */
  readonly ram?: number
  /** The same with expanded layers: speed is worth no memory that the machine does not have. Default: ram. */
  readonly expandedRam?: number
  /** How many adapters there are. Default: none. */
  readonly adapters?: number
  /** Bytes of adapters, which take their part of `ram` and `expandedRam`. Default 0. */
  readonly adapterBytes?: number
  /** Whether the inputs of ffn_down are also kept as float32, for adapters. */
  readonly downFloats?: boolean
  /** Bytes that are left free behind every area, a multiple of 64: a write there is one too far. Default 0. */
  readonly guardBytes?: number
}

/** Half of what a 32-bit memory can hold: few banks, and space for what must share a bank and is large. */
const BANK_BYTES = 2 ** 31

const STREAMING: StreamingPlan = { readers: 8, buffers: 16 }

/**
 * Plans the banks of a model: all experts resident if `ram` allows, and as many layers expanded as `expandedRam` allows
 * then; else as many experts as `ram` allows. Throws `UNSUPPORTED` for a head size the kernels cannot take and `MEMORY`
 * for what must share a bank and does not fit 4 GiB, or for a `ram` that holds less than one token needs at once.
 */
export function planModel(config: MixtralConfig, tensors: MixtralTensors, given: PlanOptions): Plan {
  const options = withoutAdapters(given)
  const shared = sharedSizes(tensors, options)
  const resident = residentLayout(config, tensors, shared, options)
  if (resident) return layOut(config, resident, shared, options)
  const experts = tensors.layers.flatMap((layer) => layer.experts.map(expertBytes))
  const withSlots = (count: number) => layOut(config, tensors, shared, options, slotSizes(experts, count, config.expertsPerToken))
  let plan = withSlots(0)
  if (plan.bytes > options.ram) {
    const needed = plan.bytes + options.adapterBytes
    const parts = [
      `${plan.slots.length} of ${experts.length} experts take ${byteCount(plan.weightBytes)} with all other weights`,
      `the KV cache ${byteCount(plan.kvBytes)}`,
      `scratch memory ${byteCount(plan.bytes - plan.weightBytes - plan.kvBytes)}`,
      ...(options.adapterBytes > 0 ? [`the adapters ${byteCount(options.adapterBytes)}`] : []),
    ]
    throw new MixtralError(
      'MEMORY',
      `${byteCount(given.ram!)} of memory, expected at least ${byteCount(needed)} (${needed} bytes): ${parts.join(', ')}`,
    )
  }
  for (let fits = 0, tooMany = experts.length + 1; tooMany - fits > 1; ) {
    const middle = (fits + tooMany) >> 1
    const larger = withSlots(middle)
    if (larger.bytes <= options.ram) [plan, fits] = [larger, middle]
    else tooMany = middle
  }
  return plan
}

/** What is left for the model, of what it may take and of what the machine has. */
function withoutAdapters(options: PlanOptions): PlanOptions & { readonly ram: number; readonly adapterBytes: number } {
  const { ram = Number.POSITIVE_INFINITY, expandedRam = ram, adapterBytes = 0 } = options
  return { ...options, adapterBytes, ram: ram - adapterBytes, expandedRam: expandedRam - adapterBytes }
}

/**
 * The tensors as they are resident, as many layers expanded as there is memory for. Undefined if they do not fit at
 * all.
 */
function residentLayout(
  config: MixtralConfig,
  tensors: MixtralTensors,
  shared: SharedSizes,
  options: PlanOptions,
): MixtralTensors | undefined {
  const { ram = Number.POSITIVE_INFINITY, expandedRam = ram } = options
  const bytesAs = (layout: MixtralTensors) => layOut(config, layout, shared, { ...options, measures: true }).bytes
  if (!shared.expands) return bytesAs(tensors) <= ram ? tensors : undefined
  const fits = (layers: number) => {
    try {
      return bytesAs(expandedTensors(tensors, layers)) <= Math.min(ram, expandedRam)
    } catch (error) {
      if (error instanceof MixtralError && error.code === 'MEMORY') return false // what must share a bank has grown
      throw error
    }
  }
  const { length } = tensors.layers
  if (fits(length)) return expandedTensors(tensors, length)
  if (bytesAs(tensors) > ram) return undefined
  let [most, tooMany] = [0, length]
  for (let middle = tooMany >> 1; tooMany - most > 1; middle = (most + tooMany) >> 1) {
    if (fits(middle)) most = middle
    else tooMany = middle
  }
  return expandedTensors(tensors, most)
}

/**
 * What the model takes with all experts resident, without a plan of it, and without adapters: in the layout that
 * `planModel` would choose, or in the smallest where `ram` is too little. Throws as `planModel` does.
 */
export function residentNeeds(
  config: MixtralConfig,
  tensors: MixtralTensors,
  given: PlanOptions,
): Pick<Plan, 'contextLength' | 'kvFormat' | 'weightBytes' | 'kvBytes' | 'bytes'> {
  const options = withoutAdapters(given)
  const shared = sharedSizes(tensors, options)
  return layOut(config, residentLayout(config, tensors, shared, options) ?? tensors, shared, { ...options, measures: true })
}

/**
 * slotBytes: the sizes of slots that experts share; without it, every expert has its own slot. measures: whether only
 * the sizes of the plan are wanted, which has no loads then.
 */
function layOut(
  config: MixtralConfig,
  tensors: MixtralTensors,
  shared: SharedSizes,
  options: PlanOptions & { readonly measures?: boolean },
  slotBytes?: readonly number[],
): Plan {
  const { headDim, kvHeads, vocabSize } = config
  const { build, threads, batchSize, contextLength, sequences = 1, kvTokens = contextLength, guardBytes = 0 } = options
  if (headDim % 4) throw new MixtralError('UNSUPPORTED', `heads of ${headDim} dimensions: the kernels take multiples of 4`)
  const streaming = slotBytes && STREAMING
  const scratch = planScratch(config, {
    batchSize,
    contextLength,
    sequences,
    threads,
    stagingBuffers: streaming?.buffers ?? 0,
    build,
    guardBytes,
    ...shared,
  })
  const banks = new BankLayout(scratch.bytes, options.bankBytes ?? BANK_BYTES, options.measures === true, guardBytes)
  const kvFormat = options.kvFormat ?? (tensors.layers[0]!.attnK.type.name === 'F32' ? 'f32' : 'f16')
  const pages = pagesOf(kvTokens)
  const kvHalf = kvHeads * kvHeadBytes(pages, headDim, kvFormat) // keys, or values, of a layer
  const free = LARGEST_BANK - scratch.bytes
  if (2 * kvHalf > free) {
    throw new MixtralError(
      'MEMORY',
      `a KV cache of ${kvTokens} tokens takes ${2 * kvHalf} bytes in each layer, of ${free} bytes of one memory: expected fewer`,
    )
  }

  const slots: Slot[] = []
  const tokenEmbd = banks.begin([rawBytes(tensors.tokenEmbd)]).raw(tensors.tokenEmbd)
  const layers = tensors.layers.map((layer): PlacedLayer => {
    const sizes = layerRoles.map((role) => (isVector(role) ? rawBytes(layer[role]) : bytesOf(layer[role])))
    const home = banks.begin([...sizes, kvHalf, kvHalf])
    const placedRoles = Object.fromEntries(
      layerRoles.map((role) => (isVector(role) ? [`${role}At`, home.raw(layer[role])] : [role, home.matrix(layer[role])])),
    ) as PlacedRoles
    const placed = { ...placedRoles, bank: home.bank, keysAt: home.take(kvHalf), valuesAt: home.take(kvHalf) }
    // all experts fit: their slots follow their layer
    if (!slotBytes) for (const expert of layer.experts) slots.push(banks.slot(expert))
    return { ...placed, experts: layer.experts }
  })
  for (const bytes of slotBytes ?? []) slots.push(banks.emptySlot(bytes))
  const logitsBytes = batchSize * Math.ceil(vocabSize / 4) * 16
  const last = banks.begin([rawBytes(tensors.outputNorm), bytesOf(tensors.output), logitsBytes])
  const outputNormAt = last.raw(tensors.outputNorm)
  const output = last.matrix(tensors.output)
  const logitsAt = last.take(logitsBytes)

  const kvBytes = 2 * kvHalf * config.layers
  const weightBytes = banks.loadedBytes + (slotBytes ?? []).reduce((sum, bytes) => sum + bytes, 0)
  const rowBytes = bytesIn(tensors.tokenEmbd.type, tensors.tokenEmbd.columns)
  return {
    build,
    threads,
    ...(streaming && { streaming }),
    batchSize,
    contextLength,
    sequences,
    adapters: options.adapters ?? 0,
    pages,
    kvFormat,
    scratch,
    banks: banks.sizes,
    tokenEmbd: { bank: 0, at: tokenEmbd, type: tensors.tokenEmbd.type.name, rowBytes },
    layers,
    slots,
    outputNormAt,
    output,
    logitsAt,
    loads: banks.loads,
    weightBytes,
    kvBytes,
    bytes: banks.sizes.reduce((sum, bytes) => sum + bytes, 0),
    guards: [...banks.guards, ...banks.sizes.flatMap((_, bank) => scratch.guards.map((at) => ({ bank, at, bytes: guardBytes })))],
  }
}
