// node written.mjs [--json]
// Whether what this project writes is what llama.cpp reads: the demo model in every type of `quantizeModel`, in shards,
// with its experts merged from the old layout, and a small checkpoint from `convertCheckpoint`, each loaded here and in
// node-llama-cpp. Compares the logits of one sequence; ends with 1 if a file does not load there or the two are further
// apart than two right implementations are.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'
import { convertCheckpoint, quantizeModel, quantizeTypes } from '../../dist/index.js'
import { compare, openLlama, ours, theirs } from './bothLogits.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const original = here('../../test/golden/models/tiny-mixtral.F16.gguf')
const folder = mkdtempSync(join(tmpdir(), 'mixtral-written-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/**
 * By what a name begins with. Where two experts are nearly tied, a rounding flips the routing: the highest 5 % are left
 * out. llama.cpp rounds activations to the type of F16 and BF16 weights, and the checkpoint's weights are random, which
 * magnifies it; the demo model's are not.
 */
const mostDivergence = [
  ['F32', 1e-9],
  ['F16 converted', 1e-4],
  ['F16', 1e-8],
  ['BF16', 1e-2],
  ['Q8_0 of converted', 1e-2],
  ['', 1e-5],
]

/** Each file by what it is: writes it, and returns the path to load. */
const files = {
  ...Object.fromEntries(
    quantizeTypes
      .filter((type) => type !== 'copy' && type !== 'F16')
      .map((type) => [type, async (path) => (await quantizeModel(original, path, type)).files[0].path]),
  ),
  'F16 in shards': async (path) => (await quantizeModel(original, path, 'copy', { shardBytes: 5e6 })).files[0].path,
  'Q4_K_M in shards': async (path) => (await quantizeModel(original, path, 'Q4_K_M', { shardBytes: 2e6 })).files[0].path,
  'F16 merged': async (path) => {
    const apart = join(folder, 'apart.gguf')
    await quantizeModel(original, apart, 'copy', { layout: 'per-expert' })
    return (await quantizeModel(apart, path, 'copy')).files[0].path
  },
  'F32 converted': (path) => convert(path, 'F32'),
  'F16 converted': (path) => convert(path, 'F16'),
  'BF16 converted': (path) => convert(path, 'BF16'),
  'Q8_0 of converted': async (path) =>
    (await quantizeModel(await convert(join(folder, 'converted.gguf'), 'F32'), path, 'Q8_0')).files[0].path,
}

async function convert(path, type) {
  const { module } = await runnerImport(here('../../test/authoring/convert/sourceModel.ts'))
  const checkpoint = mkdtempSync(join(folder, 'checkpoint-'))
  await module.writeCheckpoint(checkpoint, module.smallModel, { dtype: 'F32' })
  await convertCheckpoint(checkpoint, path, { type })
  return path
}

const llama = await openLlama()
const json = process.argv.includes('--json')
const rows = []
for (const [name, write] of Object.entries(files)) {
  const row = { name, llamaCpp: llama.llamaCppRelease.release }
  try {
    const path = await write(join(folder, `${name.replaceAll(' ', '-')}.gguf`))
    const logits = await ours(path)
    Object.assign(row, compare(logits, await theirs(llama, path, { kv: name.startsWith('F32') ? 'F32' : 'F16' })))
    row.right = row.divergence <= mostDivergence.find(([start]) => name.startsWith(start))[1]
  } catch (error) {
    Object.assign(row, { right: false, error: String(error.message ?? error) })
  }
  rows.push(row)
  if (!json) {
    const numbers = row.error ?? `divergence ${row.divergence.toExponential(1)}, same first choice ${(row.same * 100).toFixed(1)} %`
    process.stdout.write(`${row.right ? 'right' : 'WRONG'}  ${name.padEnd(18)} ${numbers}\n`)
  }
}
if (json) process.stdout.write(`${JSON.stringify(rows)}\n`)
await llama.dispose()
process.exitCode = rows.every(({ right }) => right) ? 0 : 1
