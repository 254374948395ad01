// `mixtral verify`: what it prints of a model that is right and of one that is not, and its exit codes. What it finds
// is in test/evaluation/verify/verify.test.ts.

import { expect, test } from 'vitest'
import { mixtral } from './mixtral.js'

test('a model that is right has a line for every layer and format, and exit code 0', async () => {
  const { code, stdout, stderr } = await mixtral(['verify'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
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
