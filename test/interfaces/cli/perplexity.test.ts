// `mixtral perplexity`: what it prints, and what it refuses.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-perplexity-'))
afterAll(() => rmSync(folder, { recursive: true }))
const golden = (name: string) => fileURLToPath(new URL(`../../golden/${name}`, import.meta.url))
const [text, base] = [golden('kl/eval-short.txt'), golden('kl/base-F16.kld')]

test('prints the perplexity with its error', async () => {
  const { code, stdout, stderr } = await mixtral(['perplexity', 'demo', text, '-c', '256', '--chunks', '2'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '254 predictions, 2 windows of 256 tokens\n' })
  expect(stdout).toMatch(/^PPL = \d\.\d{4} ± \d\.\d{5}\n$/)
})

test('stored logits are those that --kl then compares with', async () => {
  const out = join(folder, 'Q4_K_M.kld')
  const saved = await mixtral(['perplexity', 'demo', text, '-c', '256', '--chunks', '1', '--save-logits', out, '--json'])
  expect(saved).toMatchObject({ code: 0, stderr: '' })
  const { perplexity, error, ...rest } = JSON.parse(saved.stdout)
  expect(rest).toEqual({ model: 'demo', file: text, experts_per_token: 2, context: 256, windows: 1, predictions: 127, saved: out })
  const compared = await mixtral(['perplexity', 'demo', text, '--kl', out, '--json'])
  expect(compared).toMatchObject({ code: 0, stderr: '' })
  const result = JSON.parse(compared.stdout)
  expect(result).toMatchObject({
    model: 'demo',
    base: out,
    windows: 1,
    perplexity: { value: perplexity, error },
    same_top: { value: 1, error: 0 },
  })
  expect(Math.abs(result.kl_divergence.percentiles['50'])).toBeLessThan(1e-6)
})

const written = (name: string, bytes: string | Uint8Array) => {
  writeFileSync(join(folder, name), bytes)
  return join(folder, name)
}

test.each([['perplexity'], ['imatrix']])('%s takes no file that is no text', async (command) => {
  const latin = written('latin.txt', Buffer.from(`${'A line.\n'.repeat(4)}caf\xe9 au lait\n`, 'latin1'))
  const utf16 = written('utf16.txt', Buffer.from('\ufeffA line.', 'utf16le'))
  for (const [file, says] of [
    [base, `${base} has a byte 0, as binary files have`],
    [utf16, `${utf16} has a byte 0`],
    [latin, `${latin} is not UTF-8 in line 5 (byte 35 is 0xe9)`],
    [folder, `${folder}: cannot be read: EISDIR`],
  ] as const) {
    const { code, stderr } = await mixtral([command, 'demo', file, ...(command === 'imatrix' ? [join(folder, 'out.gguf')] : [])])
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(says) })
  }
})

test('a text may end in the middle of a character, or have replacement characters', async () => {
  const words = 'One \ufffd two é. '.repeat(30)
  const [whole, cut] = [
    written('whole.txt', words),
    written('cut.txt', Buffer.concat([Buffer.from(words), Buffer.from('é').subarray(0, 1)])),
  ]
  const [one, other] = await Promise.all([whole, cut].map((file) => mixtral(['perplexity', 'demo', file, '-c', '64', '--chunks', '1'])))
  expect(one!.stderr).toContain('windows of 64 tokens')
  expect(other).toEqual(one)
})

test('--kl prints the tables of llama-perplexity', async () => {
  const { code, stdout } = await mixtral(['perplexity', 'demo', '--kl', base, '--chunks', '1'])
  expect(code).toBe(0)
  const titles = ['Perplexity', 'KL divergence', 'Token probability'].map((name) => `====== ${name} statistics ======`)
  expect(stdout.match(/^=.*$/gm)).toEqual(titles)
  expect(stdout).toMatch(/^Mean PPL\(base\) +: +\d\.\d{6} ± \d\.\d{6}$/m)
  for (const name of ['Mean', 'Median', '90.0%', '95.0%', '99.0%', 'Maximum'])
    expect(stdout).toMatch(new RegExp(`^${name} KLD +: +-?\\d+\\.\\d{6}`, 'm'))
  expect(stdout).toMatch(/^RMS Δp +: +\d+\.\d{3} % ± +\d+\.\d{3} %\nSame top p +: +\d+\.\d{3} % ± \d+\.\d{3} %\n$/m)
})

test.each([
  [['demo'], 2, 'FILE is missing'],
  [['demo', text, '--kl', base, '--save-logits', 'x'], 2, 'expected either --save-logits or --kl'],
  [['demo', '--kl', base, '-c', '128'], 2, 'expected no --context'],
  [['demo', text, '-c', '2'], 2, '--context is "2", expected a whole number from 3'],
  [['demo', '/no/such/file'], 1, '/no/such/file: cannot be read'],
  [['demo', '--kl', text], 1, 'not a file of stored logits'],
  [['demo', golden('README.md'), '--kl', base], 2, 'of the text is'],
])('%j fails with one line', async (args, code, message) => {
  const ended = await mixtral(['perplexity', ...args])
  expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(/^mixtral: [^\n]*\n$/) })
  expect(ended.stderr).toContain(message)
})
