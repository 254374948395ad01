// `mixtral verify`: what it prints of a model that is right and of one that is not, and its exit codes. What it finds
// is in test/evaluation/verify/verify.test.ts.

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pulledDigest } from '../../../dist/registry/stores/localModels.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { mixtral } from './mixtral.js'

test('a model that is right has a line for every layer and format, and exit code 0', async () => {
  const { code, stdout, stderr } = await mixtral(['verify'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^right: all 189 matrices, and every stage of a pass of \d+ tokens\n$/m)
  const [layers, formats] = stdout.split('\n\n').map((table) => table.trimEnd().split('\n'))
  expect(layers!.slice(1).map((line) => line.split(' ')[0])).toEqual(['embedding', '0', '1', '2', '3', '4', '5', 'output'])
  expect(formats!.slice(1).map((line) => line.split(' ')[0])).toEqual(['Q4_K', 'F32', 'Q8_0', 'Q5_K', 'Q6_K'])
  for (const line of [...layers!.slice(1), ...formats!.slice(1)]) expect(line).toMatch(/ \d+ +\d\S* +\d\S* % {2}ok$/)
})

test('--json has the same, and nothing else is printed; the plain simd kernels are right too', async () => {
  const { code, stdout, stderr } = await mixtral(['verify', 'demo', '--prompt', 'The sea', '--ram', '8.8M', '--threads', '2', '--json'], {
    env: { MIXTRAL_KERNELS: 'simd' },
  })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({ model: 'demo', kernels: 'simd', tokens: expect.any(Array), faults: [], ok: true })
  expect(result.layers).toHaveLength(8)
  expect(result.layers[1]).toEqual({
    layer: '0',
    types: expect.arrayContaining(['Q4_K', 'Q5_K', 'Q8_0', 'F32']),
    matrices: 31,
    error: expect.any(Number),
    share_of_allowed: expect.any(Number),
    faults: 0,
    ok: true,
  })
  expect(result.formats.map(({ types }: { types: string[] }) => types[0])).toContain('Q6_K')
})

test('a model that is not right has its faults named, and exit code 1', async () => {
  const nodeFlags = ['--import', new URL('wrongNorm.js', import.meta.url).href]
  const { code, stdout, stderr } = await mixtral(['verify', '--prompt', 'The sea'], { nodeFlags })
  expect(code).toBe(1)
  expect(stdout).toMatch(/^embedding .* ok\n0 .* OFF\n/m)
  const lines = stderr.trimEnd().split('\n')
  expect(lines).toHaveLength(13)
  const fault =
    /^mixtral: (blk\.\d\.(attn|ffn)_norm|output_norm)\.weight: \w+: \d+ of \d+ values are off, the worst at token \d, column 3: found \S+, expected \S+ within \S+$/
  for (const line of lines) expect(line).toMatch(fault)
  const json = await mixtral(['verify', '--prompt', 'The sea', '--json'], { nodeFlags })
  expect(json).toMatchObject({ code: 1 })
  expect(JSON.parse(json.stdout)).toMatchObject({
    ok: false,
    faults: expect.arrayContaining([expect.objectContaining({ layer: '0', tensor: 'blk.0.attn_norm.weight' })]),
  })
})

test('what no model is fails with one line', async () => {
  expect(await mixtral(['verify', '/no/such.gguf'])).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^mixtral: [^\n]*\n$/),
  })
})

test('a file that is not what it was when it was pulled is a fault, also where its weights are right', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-verify-'))
  try {
    const bytes = readFileSync(demoPath())
    const digest = createHash('sha256').update(bytes).digest('hex')
    const path = join(folder, `sha256-${digest}`)
    writeFileSync(path, bytes)
    expect(await mixtral(['verify', path, '--json'])).toMatchObject({ code: 0, stdout: expect.stringContaining('"damaged_files":[]') })
    const at = bytes.indexOf('general.name') + 'general.name'.length + 12 // behind the type and the length
    bytes[at] = bytes[at]! ^ 1
    writeFileSync(path, bytes)
    const { code, stdout, stderr } = await mixtral(['verify', path, '--json'])
    const { ok, faults, damaged_files: damaged } = JSON.parse(stdout)
    expect({ code, ok, faults }).toEqual({ code: 1, ok: false, faults: [] })
    expect(damaged).toEqual([{ path, sha256: createHash('sha256').update(bytes).digest('hex'), expected: digest }])
    expect(stderr).toContain(`expected ${digest}, by which it was pulled`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the digest of a file is in its name, or in the record of our store', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-digest-'))
  try {
    const file = join(folder, 'a.gguf')
    writeFileSync(file, 'x')
    expect(await pulledDigest(file, folder)).toBeUndefined()
    const sha256 = 'ab'.repeat(32)
    writeFileSync(`${file}.source.json`, JSON.stringify({ address: 'https://example.com/a.gguf', bytes: 1, sha256 }))
    expect(await pulledDigest(file, folder)).toBe(sha256)
    for (const name of [sha256, `sha256-${sha256}`]) {
      writeFileSync(join(folder, name), 'x')
      symlinkSync(join(folder, name), join(folder, `link-${name}`))
      expect(await pulledDigest(join(folder, `link-${name}`), folder)).toBe(sha256)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
