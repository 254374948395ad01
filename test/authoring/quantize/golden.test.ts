// The F16 demo model in every type, beside what llama-quantize made of it: types, errors, sizes, metadata, bits, and
// what the result is worth.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { MixtralModel, measurePerplexity, type QuantizeType, quantizeModel } from '../../../dist/index.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { demoF16, Folder, ModelFile, rmsError } from './quantizedFile.js'

const golden = (name: string) => readFileSync(new URL(`../../golden/demo/${name}`, import.meta.url), 'utf8')
/** By quantization: what llama-quantize chose for each tensor that it quantized, and its error. */
const theirs: Record<string, { types: Record<string, string>; rms: Record<string, number> }> = JSON.parse(golden('quantize.json'))
const perplexities = JSON.parse(golden('perplexity.json')) as { context: number; results: Record<string, { ppl: number }> }

const folder = new Folder()
const source = await ModelFile.open(demoF16)

describe.each(Object.entries(theirs))('%s', (name, { types, rms }) => {
  const path = folder.file(`${name}.gguf`)

  test('has the types that llama-quantize chooses, and no tensor is further from the original', async () => {
    await quantizeModel(demoF16, path, name as QuantizeType)
    const ours = await ModelFile.open(path)
    const expected = Object.fromEntries([...source.gguf.tensors.keys()].map((tensor) => [tensor, types[tensor] ?? 'F32']))
    expect(ours.types).toEqual(expected)
    for (const tensor of Object.keys(types)) {
      expect(rmsError(source.values(tensor), ours.values(tensor)) / rms[tensor]!, tensor).toBeLessThan(1.001)
    }
  })

  test('is the file of llama-quantize, apart from the roundings of a compiler', async () => {
    const ours = await ModelFile.open(path)
    const their = await ModelFile.open(demoPath(name))
    expect([...ours.gguf.metadata]).toEqual([...their.gguf.metadata])
    expect([...ours.gguf.metadataTypes]).toEqual([...their.gguf.metadataTypes])
    expect(ours.gguf.files[0]!.bytes).toBe(their.gguf.files[0]!.bytes)
    let [same, all] = [0, 0]
    for (const tensor of their.gguf.tensors.keys()) {
      const [a, b] = [ours.bytes(tensor), their.bytes(tensor)]
      all += a.length
      for (let i = 0; i < a.length; i++) if (a[i] === b[i]) same++
    }
    expect(same / all).toBeGreaterThan(0.98)
  })
})

/** All types take a minute and a half; without this, one stands for them here. */
const everyType = process.env.MIXTRAL_TEST_PERPLEXITY === 'all'

test.each(everyType ? Object.keys(theirs) : ['Q3_K_M'])(
  'the perplexity of %s is that of the file of llama-quantize, within a hundredth',
  { timeout: 120_000 },
  async (name) => {
    const model = await MixtralModel.load(folder.file(`${name}.gguf`), { contextLength: perplexities.context })
    const text = readFileSync(fileURLToPath(new URL('../../golden/demo/eval.txt', import.meta.url)), 'utf8').trimEnd()
    const { perplexity } = await measurePerplexity(model, text, { contextLength: perplexities.context })
    await model.close()
    expect(Math.abs(perplexity.value / perplexities.results[name]!.ppl - 1)).toBeLessThan(0.01)
  },
)
