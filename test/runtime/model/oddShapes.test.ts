// Sizes that no vector is a multiple of, one expert, many experts, wide heads: the kernels' logits against the
// reference's.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Reference } from '../../../dist/evaluation/reference/reference.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { divergence } from '../../golden/divergence.js'
import { type Shape, writeShapeModel } from '../../golden/shapeModel.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-odd-'))
afterAll(() => rmSync(folder, { recursive: true }))

type Sizes = Pick<Shape, 'layers' | 'dim' | 'heads' | 'kvHeads' | 'headDim' | 'ffn' | 'experts' | 'used' | 'vocab'>

test.each<Sizes>([
  { layers: 2, dim: 20, heads: 5, kvHeads: 5, headDim: 4, ffn: 12, experts: 3, used: 3, vocab: 261 },
  { layers: 2, dim: 36, heads: 3, kvHeads: 1, headDim: 12, ffn: 300, experts: 5, used: 2, vocab: 270 },
  { layers: 1, dim: 30, heads: 2, kvHeads: 1, headDim: 8, ffn: 17, experts: 2, used: 1, vocab: 263 },
  { layers: 1, dim: 33, heads: 4, kvHeads: 2, headDim: 20, ffn: 515, experts: 1, used: 1, vocab: 259 },
  { layers: 1, dim: 64, heads: 8, kvHeads: 2, headDim: 256, ffn: 32, experts: 7, used: 4, vocab: 260 },
  { layers: 3, dim: 64, heads: 16, kvHeads: 1, headDim: 4, ffn: 24, experts: 40, used: 8, vocab: 300 },
])('%o', async (sizes) => {
  const shape: Shape = { ...sizes, name: 'odd', seed: 11, ropeTheta: 1e4, tokens: [], routing: [], check: {} }
  const path = join(folder, `${JSON.stringify(sizes).replaceAll(/\W/g, '-')}.gguf`)
  await writeShapeModel(shape, path)
  const tokens = Array.from({ length: 40 }, (_, i) => (i * 61 + 7) % sizes.vocab)
  const truth = (await Reference.open(path)).logits(tokens)
  await using model = await MixtralModel.load(path, { threads: 2, batchSize: 19, bankBytes: 100_000 })
  const { meanKL, top1 } = divergence(truth, await model.logits(tokens), sizes.vocab)
  expect(meanKL).toBeLessThanOrEqual(1e-9)
  expect(top1).toBe(1)
})
