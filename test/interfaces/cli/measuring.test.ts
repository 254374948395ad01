// The commands that measure: logits, bench.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-measuring-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('logits writes float32 of (tokens, vocabulary), the same for a prompt and its tokens', async () => {
  const [a, b] = [join(folder, 'a.f32'), join(folder, 'b.f32')]
  const [byPrompt, byTokens] = await Promise.all([
    mixtral(['logits', '--prompt', 'Once upon a time', '--out', a, '--json']),
    mixtral(['logits', 'demo', '--tokens', '1,672, 600,261,462', '--out', b]),
  ])
  expect(JSON.parse(byPrompt.stdout)).toEqual({
    model: 'demo',
    tokens: [1, 672, 600, 261, 462],
    vocabulary: 2048,
    out: a,
    bytes: 5 * 2048 * 4,
  })
  expect(byTokens).toMatchObject({ code: 0, stdout: '', stderr: `${b}: 5 x 2048 float32, 41.0 kB\n` })
  const logits = new Float32Array(new Uint8Array(readFileSync(a)).buffer)
  expect(logits.subarray(4 * 2048).indexOf(Math.max(...logits.subarray(4 * 2048)))).toBe(1998) // the golden greedy token after it
  expect(readFileSync(b).equals(readFileSync(a))).toBe(true)
})

test('bench --json has the figures of the contract', async () => {
  const { code, stdout, stderr } = await mixtral(['bench', '-p', '8', '-n', '3', '-r', '2', '--threads', '2', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({ prompt_tokens: 8, new_tokens: 3, repetitions: 2, threads: 2 })
  for (const rate of ['prefill_tokens_per_second', 'decode_tokens_per_second', 'load_seconds']) expect(result[rate]).toBeGreaterThan(0)
  expect(result.peak_rss_bytes).toBeGreaterThan(result.weight_bytes)
  expect(result.runtime).toMatch(/^(node|deno|bun) \d/)
  expect(result.kernels).toMatch(/^(relaxed-)?simd$/)
})

test('bench --parallel tells what several sequences write together', async () => {
  const { code, stdout } = await mixtral(['bench', '-p', '8', '-n', '4', '-r', '1', '--parallel', '1,3', '--json'])
  expect(code).toBe(0)
  const { parallel } = JSON.parse(stdout)
  expect(parallel).toEqual([1, 3].map((sequences) => ({ sequences, tokens_per_second: expect.any(Number) })))
  for (const { tokens_per_second } of parallel) expect(tokens_per_second).toBeGreaterThan(0)
  const table = await mixtral(['bench', '-p', '8', '-n', '4', '-r', '1', '--parallel', '2'])
  expect(table.stdout).toMatch(/2 at once +\d.* tokens\/s +tokens of all sequences together/)
  const wrong = await mixtral(['bench', '--parallel', '1,zero'])
  expect(wrong.code).toBe(2)
  expect(wrong.stderr).toContain('comma-separated numbers of sequences')
})

test.each([false, true])('Ctrl-C tells what bench has measured so far; with --json %s', async (json) => {
  const { code, stdout } = await mixtral(['bench', '-p', '64', '-n', '16', '-r', '500', '--threads', '1', ...(json ? ['--json'] : [])], {
    nodeFlags: ['--import', new URL('interruptAtWork.mjs', import.meta.url).href],
  })
  expect(code).toBe(130)
  if (!json) expect(stdout).toMatch(/^interrupted after \d+ of 500 repetitions\nprefill +[\d.]+ tokens\/s +64 tokens, median of \d+\n/)
  else {
    const { repetitions, ...result } = JSON.parse(stdout)
    expect(result).toMatchObject({ interrupted: true, of_repetitions: 500, decode_tokens_per_second: expect.any(Number) })
    expect(repetitions).toBeGreaterThanOrEqual(2)
    expect(repetitions).toBeLessThan(500)
  }
})

test('bench prints a table', async () => {
  const { code, stdout } = await mixtral(['bench', '-p', '8', '-n', '3', '-r', '1'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^prefill +[\d.]+ tokens\/s +8 tokens, median of 1\ndecode +[\d.]+ tokens\/s +3 tokens/)
})
