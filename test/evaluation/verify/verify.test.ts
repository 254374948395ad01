// Every fault is found and named: weights damaged in memory, kernels that are wrong in one place. And nothing else is
// called a fault.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setEnvironmentData } from 'node:worker_threads'
import { afterAll, describe, expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { type LoadOptions, MixtralModel, type Verification, verifyModel } from '../../../dist/index.js'
import { shapes, writeShapeModel } from '../../golden/shapeModel.js'
import { blockFormats } from '../../runtime/kernels/blockFormats.js'
import { PackedMatrix } from '../../runtime/kernels/packedMatrix.js'
import { TestBank } from '../../runtime/kernels/testBank.js'
import { demoPath, demoTypes } from '../../runtime/model/demoFiles.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-verify-'))
afterAll(() => rmSync(folder, { recursive: true }))
const worker = new URL('workers/faulty.js', import.meta.url).href
const prompt = 'Once upon a time, there was a child who lived near the sea.'

async function verify(path: string, options: LoadOptions = {}): Promise<Verification> {
  await using model = await MixtralModel.load(path, { threads: 2, ...options })
  return await verifyModel(model, model.tokenizer.encodePrompt(prompt).slice(0, Math.min(7, model.batchSize)))
}

async function withFault(fault: unknown, options: LoadOptions = {}): Promise<Verification> {
  setEnvironmentData('fault', fault as string)
  try {
    return await verify(demoPath(), { worker, ...options })
  } finally {
    setEnvironmentData('fault', undefined as unknown as string)
  }
}

const named = ({ faults }: Verification) => [...new Set(faults.map(({ tensor }) => tensor))]

test.each(demoTypes)('nothing is wrong with the demo model as %s', async (type) => {
  const { faults, layers, formats } = await verify(demoPath(type))
  expect(faults).toEqual([])
  expect(layers.map(({ layer }) => layer)).toEqual([-1, 0, 1, 2, 3, 4, 5, 6])
  expect(formats.reduce((sum, { matrices }) => sum + matrices, 0)).toBe(3 + 6 * (7 + 24))
  const embedding = (await openGguf(demoPath(type))).tensors.get('token_embd.weight')!.type.name
  for (const { types, matrices, error, worstShare } of formats) {
    if (matrices === 1 && types[0] === embedding) {
      expect([error, worstShare]).toEqual([0, 0]) // looked up, never multiplied
      continue
    }
    const isFloat = ['F32', 'F16', 'BF16'].includes(types[0]!)
    expect(error).toBeLessThan(isFloat ? 1e-6 : 0.02)
    expect(error).toBeGreaterThan(isFloat ? 1e-8 : 1e-4)
    // some ternary rows have few weights other than 0, so that the rounding of a single activation shows
    expect(worstShare).toBeLessThan(types[0]!.startsWith('TQ') ? 1 : 0.5)
    expect(worstShare).toBeGreaterThan(0)
  }
})

test('the figures have the same bits with any number of threads, each time', async () => {
  const expected = await verify(demoPath(), { threads: 1 })
  for (const threads of [2, 3, 2]) expect(await verify(demoPath(), { threads })).toEqual(expected)
})

test.each<[string, LoadOptions]>([
  ['with experts that come and go', { threads: 2, ram: 8_500_000 }],
  ['in many banks', { bankBytes: 1, threads: 3 }],
  ['with a float32 cache', { kvFormat: 'f32' }],
  ['with a cache of 8 bits', { kvFormat: 'q8' }],
  ['in short steps', { batchSize: 6 }],
])('nor %s', async (_, options) => {
  expect((await verify(demoPath(), options)).faults).toEqual([])
})

test.each(shapes)('nor with the shape $name', async (shape) => {
  const path = join(folder, `${shape.name}.gguf`)
  await writeShapeModel(shape, path, { slidingWindow: 5 })
  expect((await verify(path)).faults).toEqual([])
  expect((await verify(path, { kvFormat: 'q8' })).faults).toEqual([])
})

/**
 * The first byte of a packed matrix that changes with a byte of a row's first block. Rows of the demo model have 256
 * columns.
 */
function packedByte(type: string, row: number, byte: number): number {
  const format = blockFormats.find(({ name }) => name === type)!
  const bank = new TestBank('simd')
  const rows = Math.ceil((row + 1) / 8) * 8
  const rowBytes = (256 / format.packing.blockWeights) * format.blockBytes
  const packed = [0x11, 0x13].map((changed) => {
    const file = new Uint8Array(rows * rowBytes).fill(0x11)
    file[row * rowBytes + byte] = changed
    return bank.bytes(new PackedMatrix(bank.clear(), format, file, rows).region)
  })
  return packed[0]!.findIndex((value, i) => value !== packed[1]![i])
}

describe('a damaged byte in memory', () => {
  test.each<[string, { tensor: string; expert?: number; byte: number; bits: number }, row: number]>([
    ['one weight', { tensor: 'blk.3.ffn_up_exps.weight', expert: 5, byte: packedByte('Q4_K', 24, 20), bits: 1 }, 24],
    [
      'one weight of an expert for down',
      { tensor: 'blk.1.ffn_down_exps.weight', expert: 0, byte: packedByte('Q4_K', 0, 16), bits: 0x80 },
      0,
    ],
    ['one scale', { tensor: 'blk.3.attn_q.weight', byte: packedByte('Q4_K', 248, 4), bits: 1 }, 248],
    ['one super-scale', { tensor: 'blk.0.ffn_gate_exps.weight', expert: 7, byte: packedByte('Q4_K', 8, 0), bits: 1 }, 8],
    ['one scale of eight bits', { tensor: 'blk.2.attn_k.weight', byte: packedByte('Q8_0', 0, 0), bits: 1 }, 0],
    ['a weight of the output', { tensor: 'output.weight', byte: packedByte('Q6_K', 16, 0), bits: 2 }, 16],
    ['the last bit of a router weight', { tensor: 'blk.4.ffn_gate_inp.weight', byte: 16 * 100, bits: 1 }, 0],
    ['a norm', { tensor: 'blk.5.attn_norm.weight', byte: 4 * 17, bits: 1 }, 0],
    ['an embedding', { tensor: 'token_embd.weight', byte: 144 * 600 + 20, bits: 16 }, 600],
  ])('%s is found and named', async (_, fault, row) => {
    const found = await withFault(fault)
    const { tensor, expert } = fault
    const name = expert === undefined ? tensor : `${tensor}, expert ${expert}`
    const { problem } = found.faults.find((one) => one.tensor === name)!
    expect(problem).toMatch(/^in memory [148] of \d+ rows are not (what the file packs to|those of the file), from row \d+ on$/)
    expect(problem).toContain(`from row ${row} on`)
    // If the expert ran in the pass, its gate and up are named together.
    const others = named(found).filter((one) => one !== name)
    for (const other of others)
      expect(other).toBe(`${tensor.replace('ffn_up', 'ffn_gate')} or ${tensor.replace('ffn_gate', 'ffn_up')}, expert ${expert}`)
    const layer = /^blk\.(\d)/.exec(tensor)?.[1]
    const offLayers = found.layers.filter(({ faults }) => faults.length).map((one) => one.layer)
    expect(offLayers).toEqual([layer === undefined ? (tensor === 'output.weight' ? 6 : -1) : Number(layer)])
  })
})

const everyLayer = (name: (layer: number) => string) => [0, 1, 2, 3, 4, 5].map(name)

describe('a kernel that is wrong:', () => {
  test('one angle of one position is off by a thousandth', async () => {
    const found = await withFault('rope')
    expect(named(found)).toEqual([0, 1, 2, 3, 4, 5].flatMap((layer) => [`Qcur-${layer} after RoPE`, `Kcur-${layer} after RoPE`]))
    for (const { problem } of found.faults)
      expect(problem).toMatch(/^[QK]cur: \d+ of \d+ values are off, the worst at token 4, head \d, dimension 1[01]: found/)
  })

  test('one token goes to another expert', async () => {
    const found = await withFault('route')
    expect(named(found)).toEqual(everyLayer((layer) => `ffn_moe_topk-${layer}`))
    for (const { problem } of found.faults)
      expect(problem).toMatch(/^expert: 1 of 14 values are off, the worst at token 4, rank 1: found \d\.0+, expected \d\.0+$/)
  })

  test.each<[string, string[]]>([
    ['the second expert forgotten', everyLayer((layer) => `l_out-${layer}`)],
    ['norm', ['output_norm.weight', ...[0, 1, 2, 3, 4, 5].flatMap((n) => [`blk.${n}.attn_norm.weight`, `blk.${n}.ffn_norm.weight`])]],
    ['residual', everyLayer((layer) => `ffn_inp-${layer}`)],
    ['attention', everyLayer((layer) => `kqv_merged_cont-${layer}`)],
    ['the key cache', everyLayer((layer) => `kqv_merged_cont-${layer}`)],
  ])('%s', async (fault, tensors) => {
    expect(named(await withFault(fault)).toSorted()).toEqual(tensors.toSorted())
  })

  test('swiglu', async () => {
    const found = named(await withFault('swiglu'))
    expect(found.length).toBeGreaterThan(12)
    for (const name of found) expect(name).toMatch(/^blk\.\d\.ffn_gate_exps\.weight or blk\.\d\.ffn_up_exps\.weight, expert \d$/)
  })

  test.each<[string, string]>([
    ['one row in the product of four tokens', 'Q6_K'],
    ['a product that is a thousandth too large', 'Q5_K'],
  ])('%s', async (fault, type) => {
    const found = await withFault(fault)
    const off = found.formats.filter(({ faults }) => faults.length)
    expect(off.map(({ types }) => types)).toEqual([[type]])
    for (const { problem } of off[0]!.faults)
      expect(problem).toMatch(/^the products of \d+ of \d+ rows are not the oracle's, the first is row \d+$/)
    expect(off[0]!.faults.length).toBe(off[0]!.matrices)
  })
})

test('too many tokens, or none, are refused', async () => {
  await using model = await MixtralModel.load('demo', { threads: 1, batchSize: 8 })
  await expect(verifyModel(model, [])).rejects.toMatchObject({ code: 'OPTION', message: '0 tokens to verify with, expected 1 to 8' })
  await expect(verifyModel(model, new Array(9).fill(1))).rejects.toMatchObject({ code: 'OPTION' })
})

test('a check can be aborted, and the model lives on', async () => {
  await using model = await MixtralModel.load('demo', { threads: 2 })
  const controller = new AbortController()
  const onLayer = () => controller.abort()
  await expect(verifyModel(model, [1, 672], { signal: controller.signal, onLayer })).rejects.toMatchObject({ code: 'ABORTED' })
  expect((await verifyModel(model, [1, 672])).faults).toEqual([])
})
