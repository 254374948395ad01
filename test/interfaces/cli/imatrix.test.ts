// `mixtral imatrix`: what it prints and writes, and what an interrupted one leaves.

import { spawn } from 'node:child_process'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readImatrix } from '../../../dist/index.js'
import { mixtral } from './mixtral.js'

let folder = ''
const file = (name: string) => path.join(folder, name)
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'mixtral-cli-imatrix-'))
  await fs.writeFile(file('text.txt'), 'Once upon a time there was a little dragon who was afraid of the dark. '.repeat(20))
})
afterAll(() => fs.rm(folder, { recursive: true }))

test('writes a matrix, and says which experts saw few tokens', async () => {
  const out = file('demo.gguf')
  const { code, stdout, stderr } = await mixtral(['imatrix', 'demo', file('text.txt'), out, '-c', '32', '--chunks', '2'])
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${out}: 48 tensors, 2 windows of 32 tokens\n` })
  expect(stderr).toMatch(/^expert \d of "blk\.\d\.ffn_down_exps\.weight" saw \d+ tokens, expected at least 256: use more text$/m)
  expect(stderr).toMatch(/^and 28 more experts$/m)
  expect(await readImatrix(out)).toMatchObject({ windows: 2, contextLength: 32, datasets: ['text.txt'] })
})

test('writes the old form by its name, and one object with --json', async () => {
  const out = file('demo.dat')
  const { code, stdout, stderr } = await mixtral(['imatrix', 'demo', file('text.txt'), out, '-c', '32', '--chunks', '2', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { windows, tensors, rare_experts } = JSON.parse(stdout)
  expect([windows, tensors, rare_experts.length]).toEqual([2, 48, 48])
  expect(rare_experts[0]).toEqual({ tensor: 'blk.0.ffn_down_exps.weight', expert: 0, tokens: expect.any(Number) })
  expect(await readImatrix(out)).toMatchObject({ windows: 2, contextLength: undefined })
})

test.each([
  [['demo', 'none.txt', 'out.gguf'], 1, /none\.txt/],
  [['demo', 'text.txt'], 2, /OUT is missing/],
  [['demo', 'text.txt', 'text.txt'], 2, /is an input/],
  [['demo', 'text.txt', 'out.gguf', '--chunks', '0'], 2, /chunks/],
] as const)('wrong use: %j', async (args, code, message) => {
  const ended = await mixtral(['imatrix', ...args], { cwd: folder })
  expect(ended.code).toBe(code)
  expect(ended.stderr).toMatch(message)
})

test('an output that could not be written is told before the work', async () => {
  const none = await mixtral(['imatrix', 'demo', file('text.txt'), '/dev/null', '-c', '32'])
  expect(none).toMatchObject({ code: 1, stderr: expect.stringMatching(/cannot write \/dev\/null: it is no file, expected one$/m) })
  const full = new URL('modules/fullDisk.mjs', import.meta.url).href
  const { code, stderr } = await mixtral(['imatrix', 'demo', file('text.txt'), file('out.gguf'), '-c', '32'], {
    nodeFlags: ['--import', full],
  })
  expect(code).toBe(1)
  expect(stderr).toMatch(/^.*out\.gguf needs 1\d\d\.\d kB more at .*, where 1\.0 kB are free$/m)
  expect(stderr).not.toMatch(/saw/)
})

test('Ctrl-C ends it with 130 and leaves no file', async () => {
  const work = file('work')
  await fs.mkdir(work)
  await fs.writeFile(file('long.txt'), 'Once upon a time there was a little dragon. '.repeat(20_000))
  const main = fileURLToPath(new URL('../../../dist/interfaces/cli/main.js', import.meta.url))
  const atWork = new URL('interruptAtWork.mjs', import.meta.url).href
  const child = spawn(process.execPath, ['--import', atWork, main, 'imatrix', 'demo', file('long.txt'), path.join(work, 'out.gguf')])
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(130)
  expect(await fs.readdir(work)).toEqual([])
})
