// node adapters.mjs [--json]
// Whether llama.cpp computes with a converted adapter what is computed here: PEFT folders with random factors to the
// demo model, of each target module and of all, become GGUF adapters by `convertAdapter`, which node-llama-cpp applies.
// Compares the logits of one sequence with an F32 model: its file beside ours, and beside the PEFT folder that
// it was made of; and with Q4_K_M. Ends with 1 if an adapter does not load there, changes nothing, or the two are
// further apart than two right implementations are.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'
import { ggmlTypeByName } from '../../dist/format/gguf/ggmlType.js'
import { writeGguf } from '../../dist/format/gguf/writer.js'
import { convertAdapter, quantizeModel } from '../../dist/index.js'
import { compare, openLlama, ours, theirs } from './bothLogits.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const original = here('../../test/golden/models/tiny-mixtral.F16.gguf')
const { module: make } = await runnerImport(here('../../test/runtime/adapters/adapterFiles.ts'))
const {
  module: { ModelFile },
} = await runnerImport(here('../../test/authoring/quantize/quantizedFile.ts'))
const folder = mkdtempSync(join(tmpdir(), 'mixtral-adapters-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const LAYERS = 4
const EXPERTS = 8
const shapes = {
  'self_attn.q_proj': [256, 256],
  'self_attn.k_proj': [128, 256],
  'self_attn.v_proj': [128, 256],
  'self_attn.o_proj': [256, 256],
  'block_sparse_moe.gate': [EXPERTS, 256],
}
const experts = Array.from({ length: EXPERTS }, (_, e) => ['w1', 'w2', 'w3'].map((w) => `block_sparse_moe.experts.${e}.${w}`)).flat()
const attention = Object.keys(shapes).filter((name) => name.startsWith('self_attn'))

/** Modules of each adapter, its rank, and more of its configuration. */
const adapters = {
  queries: [['self_attn.q_proj'], 4],
  keys: [['self_attn.k_proj'], 4],
  values: [['self_attn.v_proj'], 4],
  'the output of attention': [['self_attn.o_proj'], 4],
  attention: [attention, 16, { lora_alpha: 32 }],
  'attention, rank-stabilized': [attention, 16, { lora_alpha: 8, use_rslora: true }],
  'attention, with patterns': [attention, 8, { alpha_pattern: { q_proj: 3, 'layers.1.self_attn.v_proj': 20 } }],
  'the router': [['block_sparse_moe.gate'], 4],
  experts: [experts, 2],
  'attention and experts': [[...attention, ...experts], 3],
  'attention, rank 64': [attention, 64, { lora_alpha: 16 }],
}
async function write(name, modules, rank, config) {
  const target = join(folder, name.replaceAll(/\W+/g, '-'))
  const tensors = Array.from({ length: LAYERS }, (_, layer) =>
    modules.flatMap((module) => {
      const [rows, columns] = shapes[module] ?? [256, 256]
      return make.modulePair(`${layer}.${module}`, make.plainPair(`${layer}.${module}`, rows, columns, rank, 0.25))
    }),
  ).flat()
  await make.writePeftFolder(target, tensors, { r: rank, ...config })
  const { notes } = await convertAdapter(target, `${target}.gguf`, { base: original })
  return { peft: target, gguf: `${target}.gguf`, notes }
}

/** The demo model with its halves as floats. */
async function writeFloats(path) {
  const file = await ModelFile.open(original)
  const { metadata, metadataTypes, tensors } = file.gguf
  await writeGguf(path, {
    metadata: [...metadata].map(([key, value]) => [key, metadataTypes.get(key), value]),
    tensors: [...tensors.values()].map(({ name, shape }) => ({
      ...{ name, shape, type: ggmlTypeByName('F32') },
      pieces: () => [new Uint8Array(Float32Array.from(file.values(name)).buffer)],
    })),
  })
}

const llama = await openLlama()
const json = process.argv.includes('--json')
const models = { F32: join(folder, 'F32.gguf'), Q4_K_M: join(folder, 'Q4_K_M.gguf') }
await writeFloats(models.F32)
await quantizeModel(original, models.Q4_K_M, 'Q4_K_M')
const plain = { F32: await ours(models.F32), Q4_K_M: await ours(models.Q4_K_M) }
const rows = []
for (const [name, [modules, rank, config = {}]] of Object.entries(adapters)) {
  const row = { name, rank, llamaCpp: llama.llamaCppRelease.release }
  try {
    const { peft, gguf } = await write(name, modules, rank, config)
    const scale = 0.75
    const beside = async (type, path) =>
      compare(
        await ours(models[type], { adapters: [{ path, scale }] }),
        await theirs(llama, models[type], { kv: type === 'F32' ? 'F32' : 'F16', adapters: [{ path: gguf, scale }] }),
      )
    row.change = compare(plain.F32, await ours(models.F32, { adapters: [{ path: gguf, scale }] })).divergence
    row.file = await beside('F32', gguf)
    row.folder = await beside('F32', peft)
    row.quantized = await beside('Q4_K_M', gguf)
    row.right = row.change > 1e-6 && row.file.divergence < 1e-9 && row.folder.divergence < 1e-9 && row.quantized.divergence < 1e-3
  } catch (error) {
    Object.assign(row, { right: false, error: String(error.stack ?? error) })
  }
  rows.push(row)
  if (json) continue
  const one = ({ divergence, same }) => `${divergence.toExponential(1)} (${(same * 100).toFixed(1)} %)`
  const numbers =
    row.error ??
    `changes by ${row.change.toExponential(1)}; F32 ${one(row.file)}, its folder ${one(row.folder)}, Q4_K_M ${one(row.quantized)}`
  process.stdout.write(`${row.right ? 'right' : 'WRONG'}  ${name.padEnd(28)} ${numbers}\n`)
}
if (json) process.stdout.write(`${JSON.stringify(rows)}\n`)
await llama.dispose()
process.exitCode = rows.every(({ right }) => right) ? 0 : 1
