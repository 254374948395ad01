// Quantizing with an importance matrix, beside what llama-quantize makes with the same one: types, weighted errors,
// metadata. And where the matrix comes from, and what is refused.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { planQuantization } from '../../../dist/authoring/quantize/quantizePlan.js'
import { type Imatrix, type QuantizeType, quantizeModel, quantizeTypes, readImatrix, writeImatrix } from '../../../dist/index.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { demoF16, Folder, ModelFile, writeSmallModel } from './quantizedFile.js'

const golden = (name: string) => fileURLToPath(new URL(`../../golden/${name}`, import.meta.url))
const json = (name: string) => JSON.parse(readFileSync(golden(`demo/${name}`), 'utf8'))
/** By quantization and tensor: llama-quantize's error, by which the matrix weighs. */
const theirs: Record<string, Record<string, number>> = json('weighed.json')
const mixes: Record<string, Record<string, string>> = json('mixes.json')
const plain: Record<string, { types: Record<string, string> }> = json('quantize.json')

const folder = new Folder()
const source = await ModelFile.open(demoF16)
const dat = golden('imatrix/tiny-mixtral.imatrix.dat')
const imatrix = await readImatrix(golden('imatrix/tiny-mixtral.imatrix.gguf'))

/** The error of a tensor, by which the matrix weighs. */
function weighedError(name: string, file: ModelFile): number {
  const { columns, sums, counts } = imatrix.entries.get(name)!
  const [x, y] = [source.values(name), file.values(name)]
  const perMatrix = x.length / counts.length
  let [squares, weights] = [0, 0]
  for (let i = 0; i < x.length; i++) {
    const matrix = Math.floor(i / perMatrix)
    const weight = sums[matrix * columns + (i % columns)]! / counts[matrix]!
    squares += weight * (x[i]! - y[i]!) ** 2
    weights += weight
  }
  return Math.sqrt(squares / weights)
}

/** All take some minutes; without this, two stand for them here, and test/format/quants/ has the encoders. */
const everyType = process.env.MIXTRAL_TEST_PERPLEXITY === 'all'

test.each(everyType ? Object.keys(theirs) : ['IQ3_S', 'Q2_K'])(
  '%s with an importance matrix has the types of llama-quantize, and no tensor is further from the original',
  { timeout: 180_000 },
  async (name) => {
    const path = folder.file(`${name}.gguf`)
    const { unweighed, rareExperts } = await quantizeModel(demoF16, path, name as QuantizeType, { imatrix: dat })
    expect({ unweighed, rareExperts }).toEqual({ unweighed: [], rareExperts: [] })
    const ours = await ModelFile.open(path)
    const types = mixes[name] ?? plain[name]!.types
    expect(ours.types).toEqual(Object.fromEntries([...source.gguf.tensors.keys()].map((tensor) => [tensor, types[tensor] ?? 'F32'])))
    for (const [tensor, error] of Object.entries(theirs[name]!)) expect(weighedError(tensor, ours) / error, tensor).toBeLessThan(1.03)
    expect([...ours.gguf.metadata].slice(-4)).toEqual([
      ['quantize.imatrix.file', 'tiny-mixtral.imatrix.dat'],
      ['quantize.imatrix.dataset', 'eval.txt'],
      ['quantize.imatrix.entries_count', 48],
      ['quantize.imatrix.chunks_count', 61],
    ])
  },
)

const small = folder.file('small.gguf')
const shape = await writeSmallModel(small)

/** A matrix of the small model with numbers that differ in every column. */
function smallMatrix(change: (name: string) => string[] = (name) => [name]): Imatrix {
  const entries = new Map<string, Imatrix['entries'] extends ReadonlyMap<string, infer E> ? E : never>()
  const columnsOf = { attn_q: 256, attn_k: 256, attn_v: 256, attn_output: 256, ffn_gate_exps: 256, ffn_up_exps: 256, ffn_down_exps: 512 }
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const [role, columns] of Object.entries(columnsOf)) {
      const name = `blk.${layer}.${role}.weight`
      const matrices = role.endsWith('exps') ? shape.experts : 1
      const sums = Float64Array.from({ length: matrices * columns }, (_, i) => 1 + ((i * 37 + layer * 11) % 101))
      const names = change(name)
      for (const [i, renamed] of names.entries()) {
        const part = sums.length / names.length
        entries.set(renamed, {
          columns,
          sums: sums.subarray(i * part, (i + 1) * part),
          counts: new Float64Array(matrices / names.length).fill(300),
        })
      }
    }
  }
  return { entries, datasets: [], windows: 1, contextLength: 300 }
}

const apart = (name: string) =>
  name.includes('_exps') ? Array.from({ length: shape.experts }, (_, e) => name.replace('_exps', `.${e}`).replace(/_exps/, '')) : [name]

async function quantized(matrix: Imatrix | undefined, options: object = {}, file = 'matrix.gguf', input = small): Promise<ModelFile> {
  const [path, out] = [folder.file(file), folder.file(`out-${Math.random()}.gguf`)]
  if (matrix) await writeImatrix(path, matrix)
  await quantizeModel(input, out, 'IQ4_XS', { ...(matrix && { imatrix: path }), ...options })
  return ModelFile.open(out)
}

describe('the matrix of a model', () => {
  const down = 'blk.1.ffn_down_exps.weight'

  test('changes the weights, and each expert gets its own', async () => {
    const weighed = await quantized(smallMatrix())
    expect(weighed.bytes(down).equals((await quantized(undefined)).bytes(down))).toBe(false)
    const matrix = smallMatrix()
    matrix.entries.get(down)!.sums.subarray(512, 1024).fill(1)
    const other = await quantized(matrix)
    const third = other.bytes(down).length / 3
    const same = [0, 1, 2].map((e) =>
      weighed
        .bytes(down)
        .subarray(e * third, (e + 1) * third)
        .equals(other.bytes(down).subarray(e * third, (e + 1) * third)),
    )
    expect(same).toEqual([true, false, true])
  })

  test('is the same in either form, with experts together or apart, on any number of threads', async () => {
    const expected = (await quantized(smallMatrix())).bytes(down)
    expect((await quantized(smallMatrix(), { threads: 1 })).bytes(down).equals(expected)).toBe(true)
    expect((await quantized(smallMatrix(), {}, 'matrix.dat')).bytes(down).equals(expected)).toBe(true)
    expect((await quantized(smallMatrix(apart))).bytes(down).equals(expected)).toBe(true)
    expect((await quantized(smallMatrix(apart), {}, 'matrix.dat')).bytes(down).equals(expected)).toBe(true)
  })

  test.each(['matrix.gguf', 'matrix.dat'])('serves a model with experts apart, too: %s', async (file) => {
    const expected = (await quantized(smallMatrix())).bytes(down)
    const out = await quantized(smallMatrix(), { layout: 'per-expert' }, file)
    expect(Buffer.concat([0, 1, 2].map((e) => out.bytes(`blk.1.ffn_down.${e}.weight`))).equals(expected)).toBe(true)
    const old = folder.file('old.gguf')
    await quantizeModel(small, old, 'copy', { layout: 'per-expert' })
    expect((await quantized(smallMatrix(), {}, file, old)).bytes(down).equals(expected)).toBe(true)
  })

  test('names the tensors that it does not know, and the experts that few tokens reached', async () => {
    const matrix = smallMatrix((name) => (name === 'blk.0.attn_q.weight' ? ['other'] : [name]))
    matrix.entries.get(down)!.counts[2] = 7
    await writeImatrix(folder.file('part.gguf'), matrix)
    const result = await quantizeModel(small, folder.file('part-out.gguf'), 'IQ4_XS', { imatrix: folder.file('part.gguf') })
    expect(result.unweighed).toEqual(['blk.0.attn_q.weight'])
    expect(result.rareExperts).toEqual([{ name: down, expert: 2, count: 7 }])
  })

  test('names experts that few tokens reached in a matrix with experts apart, too', async () => {
    const matrix = smallMatrix(apart)
    matrix.entries.get('blk.1.ffn_down.2.weight')!.counts[0] = 7
    await writeImatrix(folder.file('apart.gguf'), matrix)
    const { rareExperts } = await quantizeModel(small, folder.file('apart-out.gguf'), 'IQ4_XS', { imatrix: folder.file('apart.gguf') })
    expect(rareExperts).toEqual([{ name: 'blk.1.ffn_down.2.weight', expert: 2, count: 7 }])
  })

  const unseen = (matrix: Imatrix) => void matrix.entries.get(down)!.counts.fill(0, 1, 2)
  const absent = (matrix: Imatrix) => void (matrix.entries as Map<string, unknown>).delete('blk.1.ffn_down.1.weight')
  const together = (name: string) => [name]

  test.each([
    ['with a count of zero', unseen, together, 'unseen.gguf'],
    ['with ones in the old form', unseen, together, 'unseen.dat'],
    ['without an entry', absent, apart, 'absent.gguf'],
    ['without an entry in the old form', absent, apart, 'absent.dat'],
  ])('names an expert that no token reached, and counts its columns alike: %s', async (_, change, names, file) => {
    const matrix = smallMatrix(names)
    change(matrix)
    const [path, out] = [folder.file(file), folder.file('unseen-out.gguf')]
    await writeImatrix(path, matrix)
    const alike = smallMatrix()
    alike.entries.get(down)!.sums.subarray(512, 1024).fill(1)
    const expected = (await quantized(alike)).bytes(down)
    expect((await quantizeModel(small, out, 'IQ4_XS', { imatrix: path })).unweighed).toEqual([`${down}, expert 1`])
    expect((await ModelFile.open(out)).bytes(down).equals(expected)).toBe(true)
    const own = await quantizeModel(small, out, 'IQ4_XS', { imatrix: path, layout: 'per-expert' })
    expect(own.unweighed).toEqual(['blk.1.ffn_down.1.weight'])
    const files = await ModelFile.open(out)
    expect(Buffer.concat([0, 1, 2].map((e) => files.bytes(`blk.1.ffn_down.${e}.weight`))).equals(expected)).toBe(true)
    // nor is it refused for it, in either layout
    const { gguf } = await ModelFile.open(small)
    const weighing = { imatrix: await readImatrix(path), file }
    for (const layout of ['merged', 'per-expert'] as const) {
      planQuantization(gguf, MixtralConfig.fromGgufMetadata(gguf.metadata), { type: 'IQ2_XS', requantize: false, layout, weighing })
    }
  })

  test('without any token for an expert counts its columns alike', async () => {
    const matrix = smallMatrix()
    matrix.entries.get(down)!.sums.subarray(0, 512).fill(0)
    matrix.entries.get(down)!.counts[0] = 0
    const alike = smallMatrix()
    alike.entries.get(down)!.sums.subarray(0, 512).fill(1)
    const bytes = (await quantized(alike)).bytes(down)
    expect((await quantized(matrix)).bytes(down).equals(bytes)).toBe(true)
    expect((await quantized(matrix, {}, 'matrix.dat')).bytes(down).equals(bytes)).toBe(true)
  })
})

describe('refused', () => {
  test.each(['IQ3_XXS', 'IQ3_XS', 'IQ2_M', 'IQ2_S', 'IQ2_XS', 'IQ2_XXS', 'Q2_K_S'] as const)('%s without a matrix', async (type) => {
    await expect(quantizeModel(small, folder.file('never.gguf'), type)).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringMatching(/needs an importance matrix, and there is none/),
    })
  })

  test('a matrix that does not know a tensor that needs one', async () => {
    await writeImatrix(
      folder.file('lacking.gguf'),
      smallMatrix((name) => [name.replace('blk.1.ffn_up', 'blk.9.ffn_up')]),
    )
    await expect(quantizeModel(small, folder.file('never.gguf'), 'IQ2_XS', { imatrix: folder.file('lacking.gguf') })).rejects.toMatchObject(
      {
        code: 'OPTION',
        message: expect.stringMatching(/"blk.1.ffn_up_exps.weight" in IQ2_XS needs an importance matrix, which lacking.gguf does not know/),
      },
    )
  })

  test('the matrix of another model, a file that is none, and an output over it', async () => {
    await expect(quantizeModel(small, folder.file('never.gguf'), 'IQ4_XS', { imatrix: dat })).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringMatching(/it is of another model/),
    })
    await expect(quantizeModel(small, folder.file('never.gguf'), 'IQ4_XS', { imatrix: small })).rejects.toMatchObject({ code: 'GGUF' })
    const path = folder.file('input.gguf')
    await writeImatrix(path, smallMatrix())
    await expect(quantizeModel(small, path, 'IQ4_XS', { imatrix: path })).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringMatching(/is an input/),
    })
  })
})

test('every type that is written can have a matrix or says why not', () => {
  expect(quantizeTypes).toEqual(expect.arrayContaining(Object.keys(theirs)))
})
