// Which tensor lives where, decided before a byte is read. Weights fill banks (memories of at most 4 GiB) in the order a token needs them; attention weights and KV
// cache of a layer share a bank, an expert (gate, up, down) is one contiguous slot. Pure: allocates nothing, reads nothing.

import { MixtralError } from '../errors.js'
import { type ActivationKind, activationBlock } from '../kernels/activation.js'
import type { KernelBuild, KvFormat } from '../kernels/kernels.js'
import { packedBytes, packings } from '../kernels/packing.js'
import type { MixtralConfig } from './mixtralConfig.js'
import type { ExpertTensors, MixtralTensors, TensorSlice } from './mixtralTensors.js'
import { EXPERT_ROWS, planScratch, type Scratch } from './scratch.js'

/** A matrix packed in groups of four rows (packing.ts). */
export interface PlacedMatrix {
  readonly type: string
  readonly rows: number
  readonly columns: number
  readonly bank: number
  readonly at: number
}

/** Room for one expert: gate, up and down, one after the other. */
export interface Slot {
  readonly bank: number
  readonly at: number
}

export interface PlacedExpert {
  readonly ffnGate: PlacedMatrix
  readonly ffnUp: PlacedMatrix
  readonly ffnDown: PlacedMatrix
}

export interface PlacedLayer {
  /** Where this layer's attention and router run. */
  readonly bank: number
  readonly attnNormAt: number
  readonly attnQ: PlacedMatrix
  readonly attnK: PlacedMatrix
  readonly attnV: PlacedMatrix
  readonly attnOutput: PlacedMatrix
  readonly ffnNormAt: number
  readonly ffnGateInp: PlacedMatrix
  /** (kvHeads, blocks of 32 positions, headDim, 32). */
  readonly keysAt: number
  /** (kvHeads, blocks of 32 positions, 32, headDim). */
  readonly valuesAt: number
  /** Where they are in the file; where they are in memory is the slots' matter. */
  readonly experts: readonly ExpertTensors[]
}

/** A piece of the file and where it goes: `packed` in groups of four rows, or as it is. */
export interface Load {
  readonly slice: TensorSlice
  readonly bank: number
  readonly at: number
  readonly packed: boolean
}

export interface Plan {
  readonly build: KernelBuild
  readonly threads: number
  /** Most tokens of one step. */
  readonly batch: number
  readonly contextLength: number
  readonly kvFormat: KvFormat
  readonly scratch: Scratch
  /** Bytes of each bank. */
  readonly banks: readonly number[]
  /** Embeddings stay in the file's blocks: rows are looked up, not multiplied. */
  readonly tokenEmbd: { readonly bank: number; readonly at: number; readonly type: string; readonly rowBytes: number }
  readonly layers: readonly PlacedLayer[]
  /** As many as there are experts, in their order, or fewer: then each takes any expert, and experts come and go (model/expertStore.ts). */
  readonly slots: readonly Slot[]
  readonly outputNormAt: number
  /** Its bank also holds outputNorm and the logits. */
  readonly output: PlacedMatrix
  /** (batch, vocabulary rounded up to 4) f32. */
  readonly logitsAt: number
  /** What is read before the first step. */
  readonly loads: readonly Load[]
  /** Bytes of weights in memory, empty slots included. */
  readonly weightBytes: number
  readonly kvBytes: number
}

export interface PlanOptions {
  readonly build: KernelBuild
  readonly threads: number
  readonly batch: number
  readonly contextLength: number
  /** How keys and values are kept. Default: f16, but f32 where the file's own key weights are F32. */
  readonly kvFormat?: KvFormat
  /** Bytes a bank is filled to, at most LARGEST_BANK; a single larger piece still gets a bank of its own. */
  readonly bankBytes?: number
  /** Most bytes of weights in memory. Default: all of them. */
  readonly ram?: number
}

/** Half of what a 32-bit memory can hold: few banks, and room for one large piece. */
const BANK_BYTES = 2 ** 31
/** What a 32-bit memory can hold, but for its last page: the end of the last byte is still a 32-bit number. */
export const LARGEST_BANK = 2 ** 32 - 65536

/**
 * Plans the banks of a model. Throws `UNSUPPORTED` for a head size the kernels cannot take and `MEMORY` for a piece over 4 GiB, or a `ram` that holds less than one token
 * needs at once.
 */
export function planModel(config: MixtralConfig, tensors: MixtralTensors, options: PlanOptions): Plan {
  const { headDim, kvHeads, vocabSize } = config
  const { build, threads, batch, contextLength } = options
  if (headDim % 4) throw new MixtralError('UNSUPPORTED', `heads of ${headDim} dimensions: the kernels take multiples of 4`)
  const scratch = planScratch(config, {
    batch,
    contextLength,
    threads,
    build,
    ...kindsOf(tensors),
    widestRowBytes: widestRowBytes(tensors),
  })
  const banks = new BankFiller(scratch.bytes, options.bankBytes ?? BANK_BYTES)
  const kvFormat = options.kvFormat ?? (tensors.layers[0]!.attnK.type.name === 'F32' ? 'f32' : 'f16')
  const kvHalf = kvHeads * kvHeadBytes(contextLength, headDim, kvFormat) // keys, or values, of a layer

  const slotBytes = planSlots(config, tensors, options.ram)
  const slots: Slot[] = []
  const tokenEmbd = banks.begin([rawBytes(tensors.tokenEmbd)]).raw(tensors.tokenEmbd)
  const layers = tensors.layers.map((layer): PlacedLayer => {
    const { attnQ, attnK, attnV, attnOutput, ffnGateInp } = layer
    const matrices = [attnQ, attnK, attnV, attnOutput, ffnGateInp]
    const home = banks.begin([rawBytes(layer.attnNorm), rawBytes(layer.ffnNorm), ...matrices.map(bytesOf), kvHalf, kvHalf])
    const placed = {
      bank: home.bank,
      attnNormAt: home.raw(layer.attnNorm),
      attnQ: home.matrix(attnQ),
      attnK: home.matrix(attnK),
      attnV: home.matrix(attnV),
      attnOutput: home.matrix(attnOutput),
      ffnNormAt: home.raw(layer.ffnNorm),
      ffnGateInp: home.matrix(ffnGateInp),
      keysAt: home.take(kvHalf),
      valuesAt: home.take(kvHalf),
    }
    // all experts fit: their slots follow their layer
    if (slotBytes.resident) for (const expert of layer.experts) slots.push(banks.slot(expert))
    return { ...placed, experts: layer.experts }
  })
  if (!slotBytes.resident) for (let i = 0; i < slotBytes.count; i++) slots.push(banks.emptySlot(slotBytes.bytes))
  const logitsBytes = batch * Math.ceil(vocabSize / 4) * 16
  const last = banks.begin([rawBytes(tensors.outputNorm), bytesOf(tensors.output), logitsBytes])
  const outputNormAt = last.raw(tensors.outputNorm)
  const output = last.matrix(tensors.output)
  const logitsAt = last.take(logitsBytes)

  const kvBytes = 2 * kvHalf * config.layers
  const loadedBytes = banks.loads.reduce((sum, { slice, packed }) => sum + (packed ? bytesOf(slice) : slice.bytes), 0)
  const weightBytes = loadedBytes + (slotBytes.resident ? 0 : slotBytes.count * slotBytes.bytes)
  const embeddingType = packings[tensors.tokenEmbd.type.name]!
  const rowBytes = (tensors.tokenEmbd.columns / embeddingType.blockWeights) * tensors.tokenEmbd.type.blockBytes
  return {
    build,
    threads,
    batch,
    contextLength,
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
  }
}

/** An expert's matrices in a slot. */
export function placeExpert({ ffnGate, ffnUp, ffnDown }: ExpertTensors, { bank, at }: Slot): PlacedExpert {
  const place = ({ type, rows, columns }: TensorSlice, start: number) => ({ type: type.name, rows, columns, bank, at: start })
  const upAt = at + bytesOf(ffnGate)
  return { ffnGate: place(ffnGate, at), ffnUp: place(ffnUp, upAt), ffnDown: place(ffnDown, upAt + bytesOf(ffnUp)) }
}

/** What must be read to fill a slot. */
export function expertLoads(expert: ExpertTensors, slot: Slot): Load[] {
  const placed = placeExpert(expert, slot)
  return (['ffnGate', 'ffnUp', 'ffnDown'] as const).map((part) => ({
    slice: expert[part],
    bank: slot.bank,
    at: placed[part].at,
    packed: true,
  }))
}

const expertBytes = ({ ffnGate, ffnUp, ffnDown }: ExpertTensors) => bytesOf(ffnGate) + bytesOf(ffnUp) + bytesOf(ffnDown)

/** How many slots of how many bytes the experts get, given the bytes for all weights. */
function planSlots(
  config: MixtralConfig,
  tensors: MixtralTensors,
  ram = Number.POSITIVE_INFINITY,
): { resident: boolean; count: number; bytes: number } {
  const experts = tensors.layers.flatMap((layer) => layer.experts.map(expertBytes))
  const { tokenEmbd, outputNorm, output } = tensors
  const others = tensors.layers.reduce(
    (sum, l) =>
      [l.attnQ, l.attnK, l.attnV, l.attnOutput, l.ffnGateInp].reduce((bytes, slice) => bytes + bytesOf(slice), sum) +
      rawBytes(l.attnNorm) +
      rawBytes(l.ffnNorm),
    rawBytes(tokenEmbd) + rawBytes(outputNorm) + bytesOf(output),
  )
  const bytes = Math.max(...experts)
  if (others + experts.reduce((sum, size) => sum + size, 0) <= ram) return { resident: true, count: experts.length, bytes }
  const count = Math.floor((ram - others) / bytes)
  if (count < config.expertsPerToken) {
    const least = others + config.expertsPerToken * bytes
    throw new MixtralError(
      'MEMORY',
      `${ram} bytes for weights, expected at least ${least}: ${others} for all but the experts, and ${config.expertsPerToken} experts of ${bytes}`,
    )
  }
  return { resident: false, count: Math.min(count, experts.length), bytes }
}

/** Bytes of one kv head's keys, or values, for whole blocks of 32 positions. */
export function kvHeadBytes(contextLength: number, headDim: number, format: KvFormat): number {
  return Math.ceil(contextLength / 32) * 32 * headDim * (format === 'f32' ? 4 : 2)
}

const upTo64 = (bytes: number) => Math.ceil(bytes / 64) * 64
const bytesOf = ({ type, rows, columns }: TensorSlice) => upTo64(packedBytes(type.name, rows, columns))
const rawBytes = (slice: TensorSlice) => upTo64(slice.bytes)

/** Places what belongs together in one bank, and starts the next bank where the current one has no room for all of it. */
class BankFiller {
  readonly sizes: number[] = []
  readonly loads: Load[] = []
  readonly #start: number
  readonly #limit: number

  constructor(start: number, limit: number) {
    this.#start = start
    this.#limit = limit
  }

  /** A slot with an expert to load. */
  slot(expert: ExpertTensors): Slot {
    const slot = this.emptySlot(expertBytes(expert))
    this.loads.push(...expertLoads(expert, slot))
    return slot
  }

  emptySlot(bytes: number): Slot {
    const { bank, take } = this.begin([bytes])
    return { bank, at: take(bytes) }
  }

  /** Makes room for pieces that must share a bank. */
  begin(pieces: readonly number[]): {
    bank: number
    take: (bytes: number) => number
    raw: (slice: TensorSlice) => number
    matrix: (slice: TensorSlice) => PlacedMatrix
  } {
    const bytes = pieces.reduce((sum, piece) => sum + upTo64(piece), 0)
    if (this.#start + bytes > LARGEST_BANK) {
      throw new MixtralError('MEMORY', `${bytes} bytes must lie in one memory, which holds ${LARGEST_BANK - this.#start}`)
    }
    if (!this.sizes.length || this.sizes.at(-1)! + bytes > this.#limit) this.sizes.push(this.#start)
    const bank = this.sizes.length - 1
    const take = (size: number) => {
      const at = this.sizes[bank]!
      this.sizes[bank] = at + upTo64(size)
      return at
    }
    const load = (slice: TensorSlice, size: number, packed: boolean) => {
      const at = take(size)
      this.loads.push({ slice, bank, at, packed })
      return at
    }
    return {
      bank,
      take,
      raw: (slice) => load(slice, rawBytes(slice), false),
      matrix: (slice) => ({ type: slice.type.name, rows: slice.rows, columns: slice.columns, bank, at: load(slice, bytesOf(slice), true) }),
    }
  }
}

/** The kinds of activations that the model's matrices want. */
function kindsOf(tensors: MixtralTensors): { inputKinds: Set<ActivationKind>; expertInputKinds: Set<ActivationKind> } {
  const kind = ({ type }: TensorSlice) => packings[type.name]!.activation
  const inputKinds = new Set<ActivationKind>(['f32', kind(tensors.output)]) // the norm writes f32
  const expertInputKinds = new Set<ActivationKind>()
  for (const { attnQ, attnK, attnV, attnOutput, ffnGateInp, experts } of tensors.layers) {
    for (const slice of [attnQ, attnK, attnV, attnOutput, ffnGateInp]) inputKinds.add(kind(slice))
    for (const { ffnGate, ffnUp, ffnDown } of experts) {
      inputKinds.add(kind(ffnGate)).add(kind(ffnUp))
      expertInputKinds.add(kind(ffnDown))
    }
  }
  for (const k of expertInputKinds) if (EXPERT_ROWS % activationBlock[k]) throw new Error(`blocks of ${k} do not fit ${EXPERT_ROWS} rows`)
  return { inputKinds, expertInputKinds }
}

function widestRowBytes(tensors: MixtralTensors): number {
  const { tokenEmbd, output, layers } = tensors
  const slices = [
    tokenEmbd,
    output,
    ...layers.flatMap((l) => [
      l.attnQ,
      l.attnK,
      l.attnV,
      l.attnOutput,
      l.ffnGateInp,
      ...l.experts.flatMap((e) => [e.ffnGate, e.ffnUp, e.ffnDown]),
    ]),
  ]
  return slices.reduce((widest, slice) => Math.max(widest, slice.bytes / slice.rows), 0)
}
