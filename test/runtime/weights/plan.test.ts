// The planner as a pure function: real sizes without their files, and random small ones.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkEngineOptions } from '../../../dist/runtime/engine/engineOptions.js'
import { packedBytes } from '../../../dist/runtime/kernels/packing.js'
import { BankLayout, expertLoad, placeExpert } from '../../../dist/runtime/weights/bankLayout.js'
import { expandedTensors, type MixtralTensors, packingOf, slicesOf } from '../../../dist/runtime/weights/mixtralTensors.js'
import { type Plan, type PlanOptions, planModel, residentNeeds } from '../../../dist/runtime/weights/plan.js'
import { expertRoles, matricesOf } from '../../../dist/runtime/weights/roles.js'
import { ATTENTION_RANGE } from '../../../dist/runtime/weights/scratch.js'
import type { Hyperparameters } from '../../format/gguf/mixtralMetadata.js'
import { allOf, configOf, mixtral8x7b, mixtral8x22b, type TypeRule, tensorsOf, typesOf } from './syntheticTensors.js'

const GiB = 2 ** 30
const usual: PlanOptions = { build: 'relaxed-simd', threads: 8, batchSize: 128, contextLength: 4096 }

interface Region {
  readonly what: string
  readonly bank: number
  readonly at: number
  readonly bytes: number
}

/** Everything that has a place in a bank, the scratch area included. */
function regionsOf(plan: Plan, tensors: MixtralTensors, shape: Hyperparameters): Region[] {
  const kvBytes = plan.kvBytes / (2 * shape.layers)
  return [
    ...plan.banks.map((_, bank) => ({ what: 'scratch', bank, at: 0, bytes: plan.scratch.bytes })),
    ...plan.loads.map(({ slice, bank, at, packed }) => ({
      what: slice.name,
      bank,
      at,
      bytes: packed ? packedBytes(packingOf(slice), slice.rows, slice.columns) : slice.bytes,
    })),
    ...plan.layers.flatMap(({ bank, keysAt, valuesAt }, layer) => [
      { what: `${layer}.keys`, bank, at: keysAt, bytes: kvBytes },
      { what: `${layer}.values`, bank, at: valuesAt, bytes: kvBytes },
    ]),
    { what: 'logits', bank: plan.output.bank, at: plan.logitsAt, bytes: plan.batchSize * Math.ceil(tensors.output.rows / 4) * 16 },
  ]
}

/** The regions of a bank lie one after the other, aligned, and end with it. */
function expectNoOverlap(plan: Plan, regions: readonly Region[]): void {
  for (const [bank, bytes] of plan.banks.entries()) {
    let end = 0
    for (const region of regions.filter((region) => region.bank === bank).sort((a, b) => a.at - b.at)) {
      expect(region.at, `${region.what} begins after ${end}`).toBeGreaterThanOrEqual(end)
      expect(region.at % 64, `${region.what} is aligned`).toBe(0)
      end = region.at + region.bytes
    }
    expect(end).toBeLessThanOrEqual(bytes)
    expect(bytes).toBeLessThanOrEqual(4 * GiB - 65536)
  }
}

/** The rows of the scratch area lie one after the other, aligned, and end with it. */
function expectScratch(
  { scratch, batchSize, sequences, threads, streaming, contextLength }: Plan,
  { used, experts, kvHeads }: Hyperparameters,
): void {
  const {
    bytes,
    pairs,
    inputs,
    expertInputs,
    expertOutputs,
    parts,
    tables,
    threadScratch,
    stagingBuffers,
    guards: _,
    ...perToken
  } = scratch
  const areas = [
    ...[...Object.values(perToken), ...Object.values(inputs)].map((rows) => ({ ...rows, count: batchSize })),
    ...[expertOutputs, ...Object.values(expertInputs)].map((rows) => ({ ...rows, count: pairs })),
    { ...parts, count: Math.ceil((2 * threads) / kvHeads) * Math.ceil(contextLength / ATTENTION_RANGE) },
    { ...tables, count: sequences },
    { ...threadScratch, count: threads },
    { ...stagingBuffers, count: streaming?.buffers ?? 0 },
  ]
  expect(pairs).toBe(Math.max(batchSize * used, sequences * experts))
  let end = 1
  for (const area of areas.sort((a, b) => a.at - b.at)) {
    expect(area.at).toBeGreaterThanOrEqual(end)
    expect(area.at % 16).toBe(0)
    expect(area.bytes % 16).toBe(0)
    end = area.at + area.count * area.bytes
  }
  expect(end).toBeLessThanOrEqual(bytes)
}

/** What belongs together is together, and everything is loaded. */
function expectComplete(plan: Plan, tensors: MixtralTensors): void {
  expect(plan.loads.map(({ slice }) => slice)).toEqual(slicesOf(tensors))
  for (const [layer, placed] of plan.layers.entries()) {
    for (const matrix of matricesOf(placed)) expect(matrix.bank).toBe(placed.bank)
    for (const [index, expert] of placed.experts.entries()) {
      const slot = plan.slots[layer * placed.experts.length + index]!
      const { ffnGate, ffnUp, ffnDown } = placeExpert(expert, slot)
      for (const matrix of [ffnGate, ffnUp, ffnDown]) expect(matrix.bank).toBe(slot.bank)
      for (const part of expertRoles) expect(plan.loads).toContainEqual(expertLoad(expert, slot, part))
      const end = ({ packing, rows, columns, at }: typeof ffnGate) => Math.ceil((at + packedBytes(packing, rows, columns)) / 64) * 64
      expect([ffnUp.at, ffnDown.at]).toEqual([end(ffnGate), end(ffnUp)])
    }
  }
}

function planOf(shape: Hyperparameters, typeOf: TypeRule, options: PlanOptions): { plan: Plan; tensors: MixtralTensors } {
  const tensors = tensorsOf(shape, typeOf)
  const plan = planModel(configOf(shape), tensors, options)
  expectNoOverlap(plan, regionsOf(plan, tensors, shape))
  expectScratch(plan, shape)
  expectComplete(plan, tensors)
  return { plan, tensors }
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

describe.each<[string, Hyperparameters, TypeRule, number]>([
  ['8x7B in Q4_K_M', mixtral8x7b, typesOf('Q4_K_M', mixtral8x7b), 26.49],
  ['8x7B in Q8_0', mixtral8x7b, allOf('Q8_0'), 46.22],
  ['8x22B in Q4_K_M', mixtral8x22b, typesOf('Q4_K_M', mixtral8x22b), 85.6e9 / GiB],
  ['8x22B in F16', mixtral8x22b, allOf('F16'), 262],
])('%s', (_, shape, typeOf, fileGiB) => {
  const { plan, tensors } = planOf(shape, typeOf, usual)
  const fileBytes = sum(slicesOf(tensors).map(({ bytes }) => bytes))

  test('is as large as the published file', () => {
    expect(fileBytes / GiB / fileGiB).toBeCloseTo(1, 2)
  })

  test('takes at most 4 % more memory for weights than the file', () => {
    expect(plan.weightBytes / fileBytes).toBeLessThan(1.04)
  })

  test('takes at most 1 % more than weights, KV cache and scratch', () => {
    const scratch = plan.banks.length * plan.scratch.bytes
    expect(sum(plan.banks) / (plan.weightBytes + plan.kvBytes + scratch)).toBeLessThan(1.01)
  })

  test('has a KV cache of two bytes a value', () => {
    expect(plan.kvBytes).toBe(shape.layers * 2 * shape.kvHeads * shape.headDim * 2 * usual.contextLength)
  })

  test('fills its banks, up to where the next expert would not fit', () => {
    const slot = Math.max(...tensors.layers.map(({ experts }) => sum(Object.values(experts[0]!).map(({ bytes }) => bytes))))
    for (const bytes of plan.banks.slice(0, -1))
      expect(bytes).toBeGreaterThan(2 * GiB - 1.1 * slot - plan.kvBytes / shape.layers - 0.5 * GiB)
  })
})

test('the KV cache is float32 where the key matrices are, or as asked', () => {
  const shape = { ...mixtral8x7b, layers: 1 }
  const kvBytes = (type: string, options: object) => planOf(shape, () => type, { ...usual, ...options }).plan.kvBytes
  const f16 = 2 * 8 * 128 * 2 * usual.contextLength
  expect(kvBytes('F32', {})).toBe(2 * f16)
  expect(kvBytes('F32', { kvFormat: 'f16' })).toBe(f16)
  expect(kvBytes('F16', { kvFormat: 'f32' })).toBe(2 * f16)
})

test('a KV cache of 8 bits takes 68 KiB a token of 8x7B, one of halves 128', () => {
  const kvBytes = (kvFormat: 'f16' | 'q8') => planOf(mixtral8x7b, typesOf('Q4_K_M', mixtral8x7b), { ...usual, kvFormat }).plan.kvBytes
  expect(kvBytes('f16')).toBe(128 * 1024 * usual.contextLength)
  expect(kvBytes('q8')).toBe(68 * 1024 * usual.contextLength)
})

test('a larger context moves more into banks, and changes no weight', () => {
  const [short, long] = [4096, 32768].map(
    (contextLength) => planOf(mixtral8x7b, typesOf('Q4_K_M', mixtral8x7b), { ...usual, contextLength }).plan,
  )
  expect(long!.kvBytes).toBe(8 * short!.kvBytes)
  expect(long!.weightBytes).toBe(short!.weightBytes)
})

test('the scratch area grows with the context by the parts of attention and the page tables alone', () => {
  const [short, long] = [ATTENTION_RANGE, 32 * ATTENTION_RANGE].map(
    (contextLength) => planOf(mixtral8x7b, typesOf('Q4_K_M', mixtral8x7b), { ...usual, contextLength }).plan.scratch,
  )
  expect(long!.parts).toEqual(short!.parts)
  const spread = 2 // tokens whose ranges are spread over 8 threads, by the 8 kv heads
  expect(long!.bytes - short!.bytes).toBe(31 * spread * short!.parts.bytes + long!.tables.bytes - short!.tables.bytes)
})

test('a tied output is loaded twice: as rows to look up and as a matrix', () => {
  const { plan, tensors } = planOf({ ...mixtral8x7b, layers: 1, tied: true }, () => 'Q8_0', usual)
  expect(plan.loads.filter(({ slice }) => slice === tensors.tokenEmbd).map(({ packed }) => packed)).toEqual([false, true])
})

test('what must share a memory and cannot is refused', () => {
  const refusal = (contextLength: number) => {
    try {
      planOf(mixtral8x7b, typesOf('Q4_K_M', mixtral8x7b), { ...usual, contextLength })
      return undefined
    } catch (error) {
      return error
    }
  }
  let [fits, tooMany] = [4096, 2 ** 21]
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1
    if (refusal(middle)) tooMany = middle
    else fits = middle
  }
  const [beside, alone] = [refusal(tooMany), refusal(2 ** 21)]
  expect(beside).toMatchObject({ code: 'MEMORY', message: expect.stringMatching(/^\d+ bytes must lie in one memory/) })
  expect(alone).toMatchObject({
    code: 'MEMORY',
    message: expect.stringMatching(
      /^a KV cache of 2097152 tokens takes 8589934592 bytes in each layer, of \d+ bytes of one memory: expected fewer$/,
    ),
  })
})

test('heads that the kernels cannot take are refused', () => {
  const shape = { ...mixtral8x7b, layers: 1, headDim: 126 }
  const plan = () =>
    planModel(
      configOf(shape),
      tensorsOf(shape, () => 'F32'),
      usual,
    )
  expect(plan).toThrow(expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringContaining('heads of 126 dimensions') }))
})

test('random small models in random banks', () => {
  const width = fc.constantFrom(4, 20, 32, 96, 256, 512)
  const types: [string, number][] = [
    ['F32', 1],
    ['F16', 1],
    ['Q8_0', 32],
    ['Q4_K', 256],
    ['Q5_K', 256],
    ['Q6_K', 256],
  ]
  const anyShape = fc
    .record({
      layers: fc.integer({ min: 1, max: 4 }),
      hidden: width,
      intermediate: width,
      kvHeads: fc.integer({ min: 1, max: 3 }),
      group: fc.integer({ min: 1, max: 4 }),
      headDim: fc.constantFrom(4, 8, 32, 64),
      experts: fc.integer({ min: 1, max: 9 }),
      used: fc.integer({ min: 1, max: 9 }),
      vocab: fc.integer({ min: 3, max: 700 }),
      tied: fc.boolean(),
    })
    .map(({ group, ...shape }) => ({ ...shape, heads: shape.kvHeads * group, used: Math.min(shape.used, shape.experts) }))
  const anyOptions = fc.record({
    build: fc.constantFrom('simd' as const, 'relaxed-simd' as const),
    threads: fc.integer({ min: 1, max: 20 }),
    batchSize: fc.integer({ min: 1, max: 150 }),
    contextLength: fc.integer({ min: 1, max: 300 }),
    bankBytes: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 30_000_000 })),
  })
  fc.assert(
    fc.property(anyShape, anyOptions, fc.infiniteStream(fc.nat()), (shape, options, choices) => {
      const typeOf: TypeRule = (role, _, columns) => {
        const fitting = types.filter(([type, block]) => columns % block === 0 && (role !== 'ffnGateInp' || /^F/.test(type)))
        return fitting[choices.next().value! % fitting.length]![0]
      }
      const { plan } = planOf(shape, typeOf, options)
      // a bank that is filled beyond its limit has one group only
      for (const [bank, bytes] of plan.banks.entries()) {
        if (bytes <= options.bankBytes) continue
        const homes = plan.layers.filter((layer) => layer.bank === bank).length
        const slots = plan.slots.filter((slot) => slot.bank === bank).length
        expect(homes + slots + Number(plan.output.bank === bank) + Number(plan.tokenEmbd.bank === bank)).toBe(1)
      }
    }),
    { numRuns: 150 },
  )
})

test('with a budget experts of a size share slots, only the rest is loaded, and all banks together keep to it', () => {
  const tensors = tensorsOf(mixtral8x7b, typesOf('Q4_K_M', mixtral8x7b))
  const whole = planModel(configOf(mixtral8x7b), tensors, usual)
  const ram = 12 * GiB
  const plan = planModel(configOf(mixtral8x7b), tensors, { ...usual, ram })
  expect(plan.bytes).toBe(sum(plan.banks))
  expect(plan.bytes).toBeLessThanOrEqual(ram)
  expect(plan.bytes).toBeGreaterThan(ram - 250e6) // one more expert of each size would not fit
  expect(plan.slots.length).toBeGreaterThan(80)
  expect(plan.slots.length).toBeLessThan(whole.slots.length)
  expect(plan.loads.some(({ slice }) => slice.name.includes('_exps'))).toBe(false)
  expectNoOverlap(plan, regionsOf(plan, tensors, mixtral8x7b))
  expectScratch(plan, mixtral8x7b)
})

test("a budget below one token's experts is refused with the numbers", () => {
  const tensors = tensorsOf(mixtral8x7b, typesOf('Q4_K_M', mixtral8x7b))
  expect(() => planModel(configOf(mixtral8x7b), tensors, { ...usual, ram: 1e9 })).toThrow(
    /^1\.00 GB of memory, expected at least \d\.\d\d GB \(\d{10} bytes\): 4 of 256 experts take \d\.\d\d GB with all other weights, the KV cache 536\.9 MB, scratch memory [\d.]+ MB$/,
  )
})

test('as many layers are expanded as the budget allows, to the byte, and 8x7B in IQ2_XXS fits 16 GB with none', () => {
  const tensors = tensorsOf(mixtral8x7b, typesOf('IQ2_XXS', mixtral8x7b))
  const plan = planModel(configOf(mixtral8x7b), tensors, usual)
  expectComplete(plan, expandedTensors(tensors, 32))
  const within = (ram: number) => planModel(configOf(mixtral8x7b), tensors, { ...usual, ram })
  const expandedIn = ({ loads }: Plan) =>
    new Set(loads.filter(({ slice }) => slice.packing).map(({ slice }) => slice.name.split('.')[1])).size
  const least = residentNeeds(configOf(mixtral8x7b), tensors, { ...usual, ram: 0 }).bytes
  expect(plan.loads.some(({ slice }) => packingOf(slice) === 'IQ2_XXS')).toBe(false)
  expect(least).toBeLessThan(14e9)
  expect(plan.bytes / least).toBeCloseTo(1.51, 1)

  const found = [plan.bytes, plan.bytes - 1, 16e9, least].map((ram) => {
    const part = within(ram)
    const { bytes, slots } = part
    expectNoOverlap(part, regionsOf(part, tensors, mixtral8x7b))
    expect(bytes).toBeLessThanOrEqual(ram)
    expect(bytes).toBe(residentNeeds(configOf(mixtral8x7b), tensors, { ...usual, ram }).bytes)
    expect(slots.length).toBe(256)
    return expandedIn(part)
  })
  expect(found).toEqual([32, 31, expect.any(Number), 0])
  expect(found[2]).toBeGreaterThan(8)
  expect(within(least - 1).streaming).toBeDefined()
  expect(expandedIn(within(least - 1))).toBe(0)
})

test('no layer is expanded into memory that the machine does not have, whatever the budget', () => {
  const tensors = tensorsOf(mixtral8x7b, typesOf('IQ2_XXS', mixtral8x7b))
  const within = (options: Partial<PlanOptions>) => planModel(configOf(mixtral8x7b), tensors, { ...usual, ...options }).bytes
  const least = residentNeeds(configOf(mixtral8x7b), tensors, { ...usual, ram: 0 }).bytes
  expect(within({ ram: 64e9, expandedRam: 10e9 })).toBe(least)
  expect(within({ ram: 64e9, expandedRam: 16e9 })).toBe(within({ ram: 16e9 }))
  expect(within({ ram: 16e9, expandedRam: 64e9 })).toBe(within({ ram: 16e9 }))
  const { ram, expandedRam } = checkEngineOptions({ ram: 2 ** 52 }, 100)
  expect(ram).toBe(2 ** 52)
  expect(expandedRam).toBeLessThan(2 ** 48)
})

test('adapters take their part of the budget, and of what the machine has: fewer layers are expanded beside them', () => {
  const tensors = tensorsOf(mixtral8x7b, typesOf('IQ2_XXS', mixtral8x7b))
  const config = configOf(mixtral8x7b)
  const beside = { ...usual, adapterBytes: 1e9 }
  for (const options of [{ ram: 16e9 }, { ram: 64e9, expandedRam: 16e9 }]) {
    const { bytes } = planModel(config, tensors, { ...beside, ...options })
    expect(bytes).toBe(planModel(config, tensors, { ...usual, ram: 15e9 }).bytes)
    expect(residentNeeds(config, tensors, { ...beside, ...options }).bytes).toBe(bytes)
  }
})

test('what fits one memory as the file has it, and would not if it were expanded, stays so', () => {
  const tensors = tensorsOf(mixtral8x7b, allOf('IQ2_XXS'))
  const bytesWith = (kvTokens: number, options: Partial<PlanOptions> = {}) =>
    residentNeeds(configOf(mixtral8x7b), tensors, { ...usual, ...options, kvTokens }).bytes
  const isRefused = (kvTokens: number) => {
    try {
      bytesWith(kvTokens, { ram: 0 })
      return false
    } catch {
      return true
    }
  }
  let [most, tooMany] = [4096, 2 ** 21]
  while (tooMany - most > 32) {
    const middle = (most + tooMany) / 2
    if (isRefused(middle)) tooMany = middle
    else most = middle
  }
  expect(isRefused(tooMany)).toBe(true)
  expect(bytesWith(most)).toBe(bytesWith(most, { ram: 0 }))
})

test('areas of a step that leave no room in a memory are told as such', () => {
  const begin = (start: number) => () => new BankLayout(start, 2 ** 31, false).begin([64])
  for (const start of [2 ** 32, 2 ** 33]) {
    const message = expect.stringMatching(
      new RegExp(`^the areas of a step take ${start} bytes of each memory, which has \\d+: expected fewer`),
    )
    expect(begin(start)).toThrow(expect.objectContaining({ code: 'MEMORY', message }))
  }
})
