// `mixtral quantize`: what it prints, and what an interrupted one leaves.

import { spawn } from 'node:child_process'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeImatrix } from '../../../dist/index.js'
import { writeSmallModel } from '../../authoring/quantize/quantizedFile.js'
import { plainPair, writeGgufAdapter } from '../../runtime/adapters/adapterFiles.js'
import { mixtral } from './mixtral.js'

let folder = ''
let model = ''
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'mixtral-cli-quantize-'))
  model = path.join(folder, 'model.gguf')
  await writeSmallModel(model, { layers: 4, ffn: 2048, experts: 8 })
})
afterAll(() => fs.rm(folder, { recursive: true }))

test('says which files it wrote, and with --json how many tensors of each type', async () => {
  const target = path.join(folder, 'model-Q4_K_M.gguf')
  const plain = await mixtral(['quantize', model, target, 'q4_k_m'])
  expect(plain).toMatchObject({ code: 0, stdout: expect.stringMatching(/model-Q4_K_M\.gguf: [\d.]+ MB\n$/) })
  expect(plain.stderr).toMatch(/^[\d.]+ million weights in [\d.]+ s, [\d.]+ (million|thousand) per second\n$/)

  const { code, stdout, stderr } = await mixtral([
    'quantize',
    model,
    path.join(folder, 'set.gguf'),
    'copy',
    '--shard-size',
    '40M',
    '--json',
  ])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { files, types, weights } = JSON.parse(stdout)
  expect(files.map((file: { path: string }) => path.basename(file.path))).toEqual(
    files.map((_: unknown, n: number) => `set-0000${n + 1}-of-0000${files.length}.gguf`),
  )
  expect(files.length).toBeGreaterThan(1)
  expect(types).toEqual({ F32: 2 + 4 * 10 + 1 })
  expect(weights).toBeGreaterThan(50e6)
})

test('with an importance matrix, says what it does not know and which experts saw few tokens', async () => {
  const matrix = path.join(folder, 'matrix.gguf')
  const entries = new Map([
    ['blk.0.ffn_down_exps.weight', { columns: 2048, sums: new Float64Array(8 * 2048).fill(3), counts: new Float64Array(8).fill(5) }],
  ])
  await writeImatrix(matrix, { entries, datasets: [], windows: 1, contextLength: 20 })
  const target = path.join(folder, 'weighed.gguf')
  const { code, stderr } = await mixtral(['quantize', model, target, 'Q8_0', '--imatrix', matrix])
  expect(code).toBe(0)
  expect(stderr).toMatch(/^expert 0 of "blk\.0\.ffn_down_exps\.weight" saw 5 tokens, expected at least 256: use more text$/m)
  expect(stderr).toMatch(/^not in the importance matrix: "blk\.0\.attn_q\.weight", .* and \d+ more$/m)
  const { stdout } = await mixtral(['quantize', model, target, 'Q8_0', '--imatrix', matrix, '--json'])
  const { unweighed, rare_experts } = JSON.parse(stdout)
  expect([unweighed.length, rare_experts.length]).toEqual([4 * 7 - 1, 8])
})

test('--lora merges adapters, and tells what rounding loses', async () => {
  const adapter = path.join(folder, 'lora.gguf')
  await writeGgufAdapter(adapter, 8, [
    { name: 'blk.0.attn_q.weight', pairs: [plainPair('q', 256, 256, 4)] },
    { name: 'blk.2.attn_v.weight', pairs: [plainPair('v', 128, 256, 4)] },
  ])
  const target = path.join(folder, 'merged.gguf')
  const { code, stderr } = await mixtral(['quantize', model, target, 'Q8_0', '--lora', `${adapter}:0.5`, '--lora', adapter])
  expect(code).toBe(0)
  expect(stderr).toMatch(
    /^merged into 2 tensors: changed by 0\.\d+ \(RMS\), rounded with an error of [\de.-]+, [\de.+-]+ % of the change; most in "blk\.\d\.attn_[qv]\.weight", [\de.+-]+ %$/m,
  )
  const { stdout } = await mixtral(['quantize', model, target, 'Q8_0', '--lora', `${adapter}:0.5`, '--lora', adapter, '--json'])
  expect(JSON.parse(stdout).merged.map(({ name }: { name: string }) => name)).toEqual(['blk.0.attn_q.weight', 'blk.2.attn_v.weight'])
  const missing = await mixtral(['quantize', model, target, 'Q8_0', '--lora', path.join(folder, 'none.gguf')])
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('none.gguf') })
})

test.each([
  [['Q9_0'], 2, /^mixtral: TYPE is "Q9_0", expected F16, /],
  [['q4_k'], 2, /; did you mean Q4_K_M, Q4_K_S\?/],
  [['iq1_m'], 2, /^mixtral: TYPE is "iq1_m", expected F16, .*: iq1_m runs here, but is not written$/m],
  [['Q8_0', '--allow-requantize'], 2, /unknown option "--allow-requantize"; did you mean --requantize\?/],
  [['IQ2_XXS'], 2, /needs an importance matrix/],
  [['copy', '--imatrix', 'none.gguf'], 2, /copy keeps every weight as it is, expected no importance matrix/],
  [['Q4_K_M', '--imatrix', 'none.gguf'], 1, /none\.gguf/],
  [['Q4_K_M', '--layout', 'apart'], 2, /layout/],
  [['Q4_K_M', '--shard-size', 'much'], 2, /shard-size/],
] as const)('wrong usage: %j', async (args, code, message) => {
  const ended = await mixtral(['quantize', model, path.join(folder, 'never.gguf'), ...args])
  expect(ended.code).toBe(code)
  expect(ended.stderr).toMatch(message)
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s ends it with %i and leaves no file, not even a draft', async (signal, code) => {
  const work = path.join(folder, signal)
  await fs.mkdir(work)
  const main = fileURLToPath(new URL('../../../dist/interfaces/cli/main.js', import.meta.url))
  const child = spawn(process.execPath, [main, 'quantize', model, path.join(work, 'out.gguf'), 'Q2_K', '--threads', '1'])
  const ended = new Promise((resolve) => child.on('close', resolve))
  while ((await fs.readdir(work)).length === 0 && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(await fs.readdir(work)).toEqual([expect.stringMatching(/^out\.gguf\.draft\.\d+\.[0-9a-f]{8}$/)])
  child.kill(signal)
  expect(await ended).toBe(code)
  expect(await fs.readdir(work)).toEqual([])
})
