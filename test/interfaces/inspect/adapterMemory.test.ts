// What is said of the memory of adapters that come with a model is what loading takes: in the types that factors have
// in memory, packed for the kernels.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { writeGguf } from '../../../dist/format/gguf/writer.js'
import { adapterMemory } from '../../../dist/interfaces/inspect/adapterFacts.js'
import { factsOf, residentBytes } from '../../../dist/interfaces/inspect/modelFacts.js'
import { compileKernels } from '../../../dist/runtime/kernels/compile.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { adapterMetadata } from '../../runtime/adapters/adapterFiles.js'
import { demoPath } from '../../runtime/model/demoFiles.js'

const { build } = await compileKernels()
const folder = mkdtempSync(join(tmpdir(), 'mixtral-memory-'))
afterAll(() => rmSync(folder, { recursive: true }))
const { experts, hiddenSize, intermediateSize } = factsOf(await openGguf(demoPath()), { build }).config!

test.each([
  ['F16', 1],
  ['Q8_0', 32],
])('factors in %s of rank %d', async (typeName, rank) => {
  const file = join(folder, `${typeName}-${rank}.gguf`)
  const type = ggmlTypeByName(typeName)!
  const factor = (name: string, shape: number[]) => {
    const bytes = (shape.reduce((product, size) => product * size) / type.blockWeights) * type.blockBytes
    return { name, type, shape, pieces: () => [new Uint8Array(bytes)] }
  }
  const tensors = [
    factor('blk.0.attn_v.weight.lora_a', [hiddenSize, rank]),
    factor('blk.0.attn_v.weight.lora_b', [rank, hiddenSize / 2]),
    factor('blk.1.ffn_up_exps.weight.lora_a', [hiddenSize, rank, experts]),
    factor('blk.1.ffn_up_exps.weight.lora_b', [rank, intermediateSize, experts]),
  ]
  await writeGguf(file, { metadata: adapterMetadata(8), tensors })
  const bytes = adapterMemory([await openGguf(file)])
  await using plain = await MixtralModel.load(demoPath(), { threads: 1 })
  await using model = await MixtralModel.load(demoPath(), { threads: 1, adapters: [file] })
  expect(model.memory.totalBytes - plain.memory.totalBytes).toBe(bytes)
})

test('adapters count in what a model needs, and in whether it fits', async () => {
  const gguf = await openGguf(demoPath())
  const loading = { build, options: { threads: 1 } }
  const { needs } = factsOf(gguf, loading)
  const ram = needs!.memoryBytes
  const fits = (adapterBytes: number, more: number) =>
    factsOf(gguf, { build, adapterBytes, options: { threads: 1, ram: ram + more } }).fit!.verdict
  expect([fits(0, 0), fits(1000, 1000), fits(1000, 999)]).toEqual(['resident', 'resident', 'streamed'])
  expect(factsOf(gguf, { ...loading, adapterBytes: 1000 }).needs).toEqual({
    ...needs,
    adapterBytes: 1000,
    memoryBytes: ram + 1000,
    leastMemoryBytes: needs!.leastMemoryBytes + 1000,
  })
  expect(residentBytes(gguf, { ...loading, adapterBytes: 1000 }) - residentBytes(gguf, loading)).toBe(1000)
})
