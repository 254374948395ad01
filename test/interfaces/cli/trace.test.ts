// `mixtral trace`: the files hold what the library gives, in the formats that others read.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { MixtralModel, Reference } from '../../../dist/index.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-trace-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))
const tokens = [1, 672, 600, 261, 462]

test('.npy files are what NumPy reads: one per tensor, the rotated ones beside the plain', async () => {
  const out = join(folder, 'npy')
  const tensors = 'Qcur-1,ffn_moe_topk-*,l_out-5'
  const ended = await mixtral(['trace', 'demo', '--tokens', tokens.join(), '--tensors', tensors, '--out', out])
  expect(ended).toEqual({ code: 0, stdout: '', stderr: expect.stringMatching(/^.*npy: 9 tensors of 5 tokens, 1\d\.\d kB\n$/) })
  const topk = Array.from({ length: 6 }, (_, layer) => `ffn_moe_topk-${layer}.npy`)
  expect(readdirSync(out).toSorted()).toEqual(['Qcur-1-rotated.npy', 'Qcur-1.npy', ...topk, 'l_out-5.npy'].toSorted())

  await using model = await MixtralModel.load('demo')
  for (const { name, shape, values } of await model.trace(tokens, { tensors: tensors.split(',') })) {
    const file = readFileSync(join(out, shape.length === 3 ? `${name}-rotated.npy` : `${name}.npy`))
    expect(file.subarray(0, 8)).toEqual(Buffer.from('\x93NUMPY\x01\x00', 'latin1'))
    const start = 10 + file.readUInt16LE(8)
    expect(start % 64).toBe(0)
    const type = name.startsWith('ffn_moe_topk') ? '<i4' : '<f4'
    const header = file.subarray(10, start).toString('latin1')
    expect(header).toMatch(/ *\n$/)
    expect(header.trimEnd()).toBe(`{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`)
    expect(file.subarray(start).equals(new Uint8Array(values.buffer as ArrayBuffer))).toBe(true)
  }
})

test('a .safetensors file has all of them, and --reference has float64', async () => {
  const out = join(folder, 'truth.safetensors')
  const ended = await mixtral(['trace', '--tokens', tokens.join(), '--tensors', 'ffn_moe_*-2', '--reference', '--out', out, '--json'])
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  const expected = (await Reference.open(demoPath())).trace(tokens, { tensors: ['ffn_moe_*-2'] })
  const bytes = expected.reduce((sum, { values }) => sum + values.byteLength, 0)
  const list = expected.map(({ name, shape }) => ({ name, shape }))
  expect(JSON.parse(ended.stdout)).toEqual({ model: 'demo', source: 'reference', tokens, out, bytes, tensors: list })

  const file = readFileSync(out)
  const start = 8 + Number(file.readBigUInt64LE(0))
  expect(start % 8).toBe(0)
  const { __metadata__: metadata, ...header } = JSON.parse(file.subarray(8, start).toString())
  expect(metadata).toEqual({ model: 'demo', tokens: tokens.join(), source: 'reference' })
  expect(Object.keys(header)).toEqual(expected.map(({ name }) => name))
  for (const { name, shape, values } of expected) {
    const { dtype, shape: stored, data_offsets: offsets } = header[name]
    expect([dtype, stored]).toEqual([name === 'ffn_moe_topk-2' ? 'I32' : 'F64', shape])
    expect(file.subarray(start + offsets[0], start + offsets[1]).equals(new Uint8Array(values.buffer as ArrayBuffer))).toBe(true)
  }
  expect(file.length).toBe(start + bytes)
  expect(readdirSync(folder)).not.toContain('truth.safetensors.partial')
})

test.each([
  [['demo', '--out', 'x'], 2, 'expected either --tokens or --prompt'],
  [['demo', '--tokens', '1', '--out', 'x.npy'], 2, 'expected a folder'],
  [['demo', '--tokens', '1'], 2, '--out'],
  [['demo', '--tokens', '1', '--tensors', 'l_uot-3', '--out', join(folder, 'none')], 2, 'no tensor is named "l_uot-3"'],
  [['demo', '--tokens', '1', '--out', '/no/such/folder/x.safetensors'], 1, 'cannot write /no/such/folder/x.safetensors'],
])('%j fails with one line', async (args, code, message) => {
  const ended = await mixtral(['trace', ...args])
  expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(/^mixtral: [^\n]*\n$/) })
  expect(ended.stderr).toContain(message)
})
