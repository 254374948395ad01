// Quantizing and copying: layouts, shards, what stays as it is, and what is refused.

import fs from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { writeGguf } from '../../../dist/format/gguf/writer.js'
import { MixtralModel, type QuantizeType, quantizeModel } from '../../../dist/index.js'
import { writeOldLayout } from '../../runtime/model/demoFiles.js'
import { hashOf } from '../../runtime/model/hash.js'
import { Folder, ModelFile, rmsError, writeSmallModel } from './quantizedFile.js'

const folder = new Folder()
const demo = 'models/tiny-mixtral.Q4_K_M.gguf'
const small = folder.file('small.gguf')
const shape = await writeSmallModel(small)

async function logitsOf(path: string, tokens: readonly number[]): Promise<Float32Array> {
  await using model = await MixtralModel.load(path, { threads: 1 })
  return await model.logits(tokens)
}

async function sameBytes(a: string, b: string): Promise<boolean> {
  return Buffer.compare(await fs.readFile(a), await fs.readFile(b)) === 0
}

/** Copies a model file with some tensors changed. */
async function rewritten(path: string, target: string, change: (name: string, data: Buffer) => { type?: string; data: Uint8Array }) {
  const model = await ModelFile.open(path)
  const { metadata, metadataTypes, tensors } = model.gguf
  await writeGguf(target, {
    metadata: [...metadata].map(([key, value]) => [key, metadataTypes.get(key)!, value]),
    tensors: [...tensors.values()].map(({ name, type, shape }) => {
      const changed = change(name, model.bytes(name))
      return { name, type: ggmlTypeByName(changed.type ?? type.name)!, shape, pieces: () => [changed.data] }
    }),
  })
}

describe('experts', () => {
  const old = folder.file('old.gguf')

  test('apart and merged again are the same file, bit for bit', async () => {
    await quantizeModel(demo, old, 'copy', { layout: 'per-expert' })
    const { gguf } = await ModelFile.open(old)
    expect(gguf.tensors.get('blk.3.ffn_down.7.weight')).toMatchObject({ shape: [256, 256] })
    expect(gguf.tensors.size).toBe(63 + 6 * 3 * 7)
    const merged = folder.file('merged.gguf')
    await quantizeModel(old, merged, 'copy')
    expect(await sameBytes(merged, demo)).toBe(true)
  })

  test('apart are as in the files of before April 2024', async () => {
    const expected = folder.file('expected-old.gguf')
    await writeOldLayout(demo, expected, { routerF16: false })
    expect(await sameBytes(old, expected)).toBe(true)
  })

  test('quantize alike in either layout', async () => {
    const apart = folder.file('small-apart.gguf')
    await quantizeModel(small, apart, 'copy', { layout: 'per-expert' })
    const [a, b, c] = ['a', 'b', 'c'].map((name) => folder.file(`small-${name}.gguf`)) as [string, string, string]
    await quantizeModel(small, a, 'Q4_K_M')
    await quantizeModel(apart, b, 'Q4_K_M')
    await quantizeModel(small, c, 'Q4_K_M', { layout: 'per-expert' })
    expect(await sameBytes(a, b)).toBe(true)
    expect(hashOf(await logitsOf(c, shape.tokens))).toBe(hashOf(await logitsOf(a, shape.tokens)))
  })

  test('of different types do not merge unless they are quantized', async () => {
    const mixed = folder.file('mixed.gguf')
    const apart = folder.file('small-apart.gguf')
    await rewritten(apart, mixed, (name, data) => {
      if (name !== 'blk.0.ffn_up.1.weight') return { data }
      const halves = new Uint8Array(data.length / 2)
      for (let i = 0; i < halves.length; i += 2) halves.set(data.subarray(i * 2 + 2, i * 2 + 4), i)
      return { type: 'BF16', data: halves }
    })
    await expect(quantizeModel(mixed, folder.file('no.gguf'), 'copy')).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining('"blk.0.ffn_up.0.weight" and "blk.0.ffn_up.1.weight" are F32 and BF16, expected one type'),
    })
    await quantizeModel(mixed, folder.file('mixed-Q8_0.gguf'), 'Q8_0')
    expect((await ModelFile.open(folder.file('mixed-Q8_0.gguf'))).types['blk.0.ffn_up_exps.weight']).toBe('Q8_0')
  })
})

describe('shards', () => {
  test('are split and merged again to the same file, bit for bit', async () => {
    const { files } = await quantizeModel(demo, folder.file('set.gguf'), 'copy', { shardBytes: 2e6 })
    expect(files.map(({ path }) => path)).toEqual([1, 2, 3, 4].map((n) => folder.file(`set-0000${n}-of-00004.gguf`)))
    for (const { path, bytes } of files) expect((await fs.stat(path)).size).toBe(bytes)
    const merged = folder.file('merged-shards.gguf')
    await quantizeModel(files[2]!.path, merged, 'copy')
    expect(await sameBytes(merged, demo)).toBe(true)
    expect((await openGguf(merged)).metadata.has('split.count')).toBe(false)
  })

  test('can be quantized into other shards', async () => {
    const { files } = await quantizeModel(small, folder.file('f32.gguf'), 'copy', { shardBytes: 4e6 })
    const { files: smaller } = await quantizeModel(files[0]!.path, folder.file('q8.gguf'), 'Q8_0', { shardBytes: 1e6 })
    expect(files.length).toBeGreaterThan(1)
    expect(smaller.length).toBeGreaterThan(1)
    const one = folder.file('q8-one.gguf')
    await quantizeModel(small, one, 'Q8_0')
    expect(hashOf(await logitsOf(smaller[1]!.path, shape.tokens))).toBe(hashOf(await logitsOf(one, shape.tokens)))
  })
})

test('any number of threads writes the same bytes', async () => {
  const files = [1, 2, 3, 5].map((threads) => ({ threads, path: folder.file(`threads-${threads}.gguf`) }))
  for (const { threads, path } of files) await quantizeModel(small, path, 'Q3_K_M', { threads })
  for (const { path } of files.slice(1)) expect(await sameBytes(path, files[0]!.path)).toBe(true)
})

test('what onProgress throws ends the call, and nothing is written', async () => {
  const onProgress = () => {
    throw new RangeError('no more')
  }
  const target = folder.file('thrown.gguf')
  await expect(quantizeModel(demo, target, 'Q3_K_M', { requantize: true, threads: 1, onProgress })).rejects.toThrow('no more')
  expect(folder.names().filter((name) => name.startsWith('thrown'))).toEqual([])
})

test('progress rises to all of the input, and the result counts what was written', async () => {
  const seen: number[] = []
  const { size } = await fs.stat(small)
  const result = await quantizeModel(small, folder.file('progress.gguf'), 'Q8_0', {
    onProgress: ({ loaded: done, total }) => {
      expect(total).toBeLessThan(size)
      seen.push(done / total)
    },
  })
  expect(seen).toEqual([...seen].sort((a, b) => a - b))
  expect(seen.at(-1)).toBe(1)
  const { gguf } = await ModelFile.open(small)
  const weights = [...gguf.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes / 4, 0)
  expect(result).toMatchObject({ weights, types: { Q8_0: 2 + 2 * 7, F32: 1 + 2 * 3 } })
})

describe('types', () => {
  test.each<[QuantizeType, number]>([
    ['F16', 0.001],
    ['Q8_0', 0.01],
    ['Q6_K', 0.03],
    ['Q5_K_S', 0.05],
    ['Q4_0', 0.1],
    ['Q2_K', 0.4],
  ])('from F32, F16 and BF16 to %s', async (type, within) => {
    const original = await ModelFile.open(small)
    for (const from of ['F32', 'F16', 'BF16']) {
      if (from === type) continue
      const input = folder.file(`small-${from}.gguf`)
      if (from === 'F16') await quantizeModel(small, input, 'F16')
      if (from === 'BF16') {
        await rewritten(small, input, (name, data) => {
          if (/norm|gate_inp/.test(name)) return { data }
          const high = new Uint8Array(data.length / 2)
          for (let i = 0; i < high.length; i += 2) high.set(data.subarray(i * 2 + 2, i * 2 + 4), i)
          return { type: 'BF16', data: high }
        })
      }
      const output = folder.file('typed.gguf')
      await quantizeModel(from === 'F32' ? small : input, output, type)
      const model = await ModelFile.open(output)
      for (const name of ['token_embd.weight', 'output.weight', 'blk.1.attn_q.weight', 'blk.1.ffn_up_exps.weight']) {
        const x = original.values(name)
        const size = rmsError(x, new Float32Array(x.length))
        expect(rmsError(x, model.values(name)) / size, `${name} from ${from}`).toBeLessThan(from === 'BF16' ? within + 0.01 : within)
      }
    }
  })

  test('an output that is the embedding too keeps the bits of an output', async () => {
    const tied = folder.file('tied.gguf')
    const { tokens } = await writeSmallModel(tied, { tied: true })
    const output = folder.file('tied-Q4_K_M.gguf')
    await quantizeModel(tied, output, 'Q4_K_M')
    expect((await ModelFile.open(output)).types).toMatchObject({ 'token_embd.weight': 'Q6_K', 'blk.0.attn_q.weight': 'Q4_K' })
    expect((await logitsOf(output, tokens)).every(Number.isFinite)).toBe(true)
  })

  test('rows that are no whole number of blocks get what llama.cpp gives them', async () => {
    const odd = folder.file('odd.gguf')
    const { tokens } = await writeSmallModel(odd, { dim: 96, heads: 3, kvHeads: 1, headDim: 32, ffn: 40, experts: 8 })
    const typesIn = async (type: QuantizeType) => {
      const output = folder.file(`odd-${type}.gguf`)
      await quantizeModel(odd, output, type)
      expect((await logitsOf(output, tokens)).every(Number.isFinite)).toBe(true)
      const { types } = await ModelFile.open(output)
      return ['blk.0.attn_q.weight', 'blk.0.attn_output.weight', 'blk.0.attn_k.weight', 'blk.0.ffn_down_exps.weight', 'output.weight'].map(
        (name) => types[name],
      )
    }
    expect(await typesIn('Q2_K')).toEqual(['IQ4_NL', 'Q5_1', 'Q8_0', 'F16', 'Q8_0'])
    expect(await typesIn('Q4_K_M')).toEqual(['Q5_0', 'Q5_1', 'Q8_0', 'F16', 'Q8_0'])
    expect(await typesIn('Q5_K_M')).toEqual(['Q5_1', 'Q5_1', 'Q8_0', 'F16', 'Q8_0'])
  })

  test('what is quantized already is refused without requantize, and with it nothing grows', async () => {
    const again = folder.file('again.gguf')
    await expect(quantizeModel(demo, again, 'Q3_K_M')).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringMatching(/tensor ".*" is Q4_K, expected F32, F16, BF16: quantizing twice costs quality/),
    })
    await quantizeModel(demo, again, 'Q3_K_M', { requantize: true })
    const [before, after] = [await ModelFile.open(demo), await ModelFile.open(again)]
    expect(after.types).toMatchObject({
      'blk.0.attn_q.weight': 'Q3_K',
      'blk.0.attn_k.weight': 'Q8_0',
      'blk.0.ffn_down_exps.weight': 'Q4_K',
      'blk.0.ffn_up_exps.weight': 'Q3_K',
      'output.weight': 'Q6_K',
    })
    expect(after.bytes('output.weight').equals(before.bytes('output.weight'))).toBe(true)
    expect(after.gguf.metadata.get('general.file_type')).toBe(12)
    await expect(quantizeModel(again, folder.file('larger.gguf'), 'Q8_0', { requantize: true })).rejects.toThrow(
      /no tensor of .*again\.gguf would become smaller in Q8_0/,
    )
  })
})

describe('what cannot be', () => {
  const nothingNew = async (work: () => Promise<unknown>, error: object) => {
    const before = folder.names()
    await expect(work()).rejects.toMatchObject(error)
    expect(folder.names()).toEqual(before)
  }

  test.each([
    ['an infinity', Number.POSITIVE_INFINITY],
    ['no number', Number.NaN],
    ['too large', 1e6],
  ])('a weight that is %s is refused with the tensor, and leaves no file', async (_, weight) => {
    const damaged = folder.file('damaged.gguf')
    await rewritten(small, damaged, (name, data) => {
      const copy = Uint8Array.from(data)
      if (name === 'blk.1.ffn_up_exps.weight') new DataView(copy.buffer).setFloat32(400_000, weight, true)
      return { data: copy }
    })
    await nothingNew(() => quantizeModel(damaged, folder.file('never.gguf'), 'Q4_K_M'), {
      code: 'MODEL',
      message: expect.stringMatching(/tensor "blk\.1\.ffn_up_exps\.weight", weights 0 to 262143: 1 are not finite or beyond 65504/),
    })
  })

  test.each([
    ['a norm', 'blk.1.ffn_norm.weight'],
    ['the router', 'blk.0.ffn_gate_inp.weight'],
  ])('%s that is not finite is refused, too, though it is copied', async (_, tensor) => {
    const damaged = folder.file('damaged.gguf')
    await rewritten(small, damaged, (name, data) => {
      const copy = Uint8Array.from(data)
      if (name === tensor) new DataView(copy.buffer).setFloat32(8, Number.NaN, true)
      return { data: copy }
    })
    await nothingNew(() => quantizeModel(damaged, folder.file('never.gguf'), 'Q4_K_M'), {
      code: 'MODEL',
      message: expect.stringMatching(`tensor "${tensor}", weights 0 to \\d+: 1 values are not finite`),
    })
  })

  test('the output in place of an input', async () => {
    const bytes = await fs.readFile(small)
    await nothingNew(() => quantizeModel(small, small, 'Q8_0'), { code: 'OPTION', message: expect.stringContaining('is an input') })
    expect((await fs.readFile(small)).equals(bytes)).toBe(true)
  })

  test('a folder that is not there, an unknown type, layout or number', async () => {
    await nothingNew(() => quantizeModel(small, folder.file('no/such/folder.gguf'), 'Q8_0'), { code: 'IO' })
    await nothingNew(() => quantizeModel(small, folder.file('x.gguf'), 'Q9_0' as QuantizeType), { code: 'OPTION' })
    await nothingNew(() => quantizeModel(small, folder.file('x.gguf'), 'Q8_0', { layout: 'apart' as 'merged' }), { code: 'OPTION' })
    await nothingNew(() => quantizeModel(small, folder.file('x.gguf'), 'Q8_0', { shardBytes: 0.5 }), { code: 'OPTION' })
    await nothingNew(() => quantizeModel(small, folder.file('x.gguf'), 'Q8_0', { threads: 0 }), { code: 'OPTION' })
  })

  test('an input that becomes shorter meanwhile', async () => {
    const cut = folder.file('cut.gguf')
    await fs.copyFile(small, cut)
    const { size } = await fs.stat(cut)
    const work = quantizeModel(cut, folder.file('never.gguf'), 'Q4_K_M', { threads: 1 })
    const refused = expect(work).rejects.toMatchObject({ name: 'MixtralError' }) // before the truncation has ended, perhaps
    await fs.truncate(cut, size - 100_000)
    await refused
    expect(folder.names().filter((name) => name.startsWith('never'))).toEqual([])
  })

  test('an aborted call leaves nothing, at any moment', async () => {
    for (const delay of [0, 5, 20, 60]) {
      const controller = new AbortController()
      const timer = setTimeout(() => controller.abort(), delay)
      const path = folder.file('aborted.gguf')
      const result = await quantizeModel(small, path, 'Q2_K', { signal: controller.signal }).catch((error: unknown) => error)
      clearTimeout(timer)
      const names = folder.names().filter((name) => name.startsWith('aborted'))
      if (result instanceof Error) {
        expect(result).toMatchObject({ code: 'ABORTED' })
        expect(names).toEqual([])
      } else {
        expect(names).toEqual(['aborted.gguf'])
        await fs.rm(path)
      }
    }
  })
})
