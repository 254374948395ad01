// A conversion holds a few megabytes of weights at a time. Costs a second or two, since only a file larger than the
// bound can show it.

import { execFile } from 'node:child_process'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { fileOf } from '../../format/tensors/safetensorsFile.js'
import { configOf, type SourceModel, tokenizerModel, writeJson } from './sourceModel.js'

const model: SourceModel = {
  ...{
    layers: 1,
    hidden: 1024,
    intermediate: 8192,
    heads: 8,
    kvHeads: 8,
    headDim: 128,
    experts: 8,
    used: 2,
    vocab: 2048,
    ropeTheta: 1e6,
    tied: true,
  },
}

test('a checkpoint of 420 MB converts in 300 MB, the process and all', async () => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'convert-'))
  try {
    await writeZeros(path.join(folder, 'model.safetensors'))
    await writeJson(folder, 'config.json', configOf(model))
    await fs.copyFile(tokenizerModel, path.join(folder, 'tokenizer.model'))
    const library = new URL('../../../dist/authoring/convert/convert.js', import.meta.url).href
    const program = `
      const { convertCheckpoint } = await import(${JSON.stringify(library)})
      await convertCheckpoint(${JSON.stringify(folder)}, ${JSON.stringify(path.join(folder, 'out.gguf'))}, { type: 'F16' })
      console.log(process.resourceUsage().maxRSS)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
    expect((await fs.stat(path.join(folder, 'out.gguf'))).size).toBeGreaterThan(400e6)
    expect(Number(stdout) * 1024).toBeLessThan(300e6)
  } finally {
    await fs.rm(folder, { recursive: true })
  }
})

/** The model in BF16 in one file, all zeros, which take no room on the disk. */
async function writeZeros(file: string): Promise<void> {
  const { hidden, intermediate, heads, kvHeads, headDim, experts, vocab } = model
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [vocab, hidden], 'model.norm.weight': [hidden] }
  const add = (name: string, ...shape: number[]) => {
    shapes[`model.layers.0.${name}`] = shape
  }
  add('input_layernorm.weight', hidden)
  add('post_attention_layernorm.weight', hidden)
  for (const name of ['q', 'o']) add(`self_attn.${name}_proj.weight`, heads * headDim, hidden)
  for (const name of ['k', 'v']) add(`self_attn.${name}_proj.weight`, kvHeads * headDim, hidden)
  add('mlp.gate.weight', experts, hidden)
  add('mlp.experts.gate_up_proj', experts, 2 * intermediate, hidden)
  add('mlp.experts.down_proj', experts, hidden, intermediate)
  let at = 0
  const header: Record<string, unknown> = {}
  for (const [name, shape] of Object.entries(shapes)) {
    const bytes = 2 * shape.reduce((product, size) => product * size)
    header[name] = { dtype: 'BF16', shape, data_offsets: [at, at + bytes] }
    at += bytes
  }
  const start = fileOf(JSON.stringify(header))
  await fs.writeFile(file, start)
  await fs.truncate(file, start.length + at)
}
