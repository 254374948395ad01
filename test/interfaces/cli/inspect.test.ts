import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { GgufWriter } from '../../../dist/format/gguf/writer.js'
import { metadataOf, normal } from '../../text/tokenizer/vocabularies.js'
import { mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-inspect-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('inspect shows metadata, hyper-parameters, tensors by type and needs of the demo model', async () => {
  const { code, stdout, stderr } = await mixtral(['inspect'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('tiny-mixtral.Q4_K_M.gguf: GGUF version 3, Q4_K_M, 11.7 million weights in 7.3 MB\n')
  expect(stdout).toContain('  llama.attention.layer_norm_rms_epsilon  0.00001\n')
  expect(stdout).toContain('  tokenizer.ggml.tokens                   ["<unk>", "<s>", "</s>", "<0x00>", ... 2048 in all]\n')
  expect(stdout).toContain('  experts per token    2 of 8\n')
  expect(stdout).toContain('  Q4_K       23     9.3 million    5.2 MB\n')
  expect(stdout).toContain('  KV cache for 512 tokens   1.6 MB\n')
})

test('inspect says what a model with expanded layers would take without', async () => {
  const path = fileURLToPath(new URL('../../golden/models/tiny-mixtral.IQ2_XXS.gguf', import.meta.url))
  const { stdout } = await mixtral(['inspect', path])
  expect(stdout).toMatch(/^ {2}together +10\.\d MB\n {2}with no layer expanded +\d\.\d MB$/m)
  expect((await mixtral(['inspect'])).stdout).not.toContain('expanded')
})

test('inspect --json adds up', async () => {
  const { stdout } = await mixtral(['inspect', 'demo', '--json', '--tensors', '--context', '256'])
  const facts = JSON.parse(stdout)
  const { hidden_size: hidden, intermediate_size: inner, layers, heads, kv_heads: kvHeads, head_dim: headDim } = facts.hyper_parameters
  expect({ hidden, inner, layers, heads, kvHeads, headDim }).toEqual({
    hidden: 256,
    inner: 256,
    layers: 6,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
  })
  expect(facts.metadata['tokenizer.ggml.tokens']).toHaveLength(2048)
  expect(facts.needs).toMatchObject({ context_length: 256, kv_bytes: layers * 2 * kvHeads * headDim * 256 * 2 })

  const bytes = (tensors: { bytes: number }[]) => tensors.reduce((sum, tensor) => sum + tensor.bytes, 0)
  const experts = facts.tensors.filter(({ name }: { name: string }) => name.includes('_exps'))
  const embedding = facts.tensors.find(({ name }: { name: string }) => name === 'token_embd.weight')
  const active = bytes(facts.tensors) - bytes(experts) * (6 / 8) - embedding.bytes * (2047 / 2048)
  expect(facts.needs.active_bytes_per_token).toBeCloseTo(active, 3)
  expect(bytes(facts.tensor_types)).toBe(bytes(facts.tensors))
  expect(facts).toMatchObject({ version: 3, runs: true })
})

test('inspect shows a GGUF that cannot run here, and says why', async () => {
  const path = join(folder, 'dense.gguf')
  const metadata: GgufEntry[] = [
    ['general.architecture', 'string', 'qwen2'],
    ['general.name', 'string', 'evil\u001b[2J\u009b2J name'],
  ]
  const tensors = [{ name: 'token_embd.weight', type: ggmlTypeByName('IQ4_XS')!, shape: [256, 2] }]
  const writer = await GgufWriter.create(path, { metadata, tensors })
  await writer.write(new Uint8Array(272))
  await writer.close()

  const { code, stdout, stderr } = await mixtral(['inspect', path])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/ {2}IQ4_XS +1 +512 +272 bytes\n/)
  expect(stdout).toMatch(/cannot run here\n {2}.*"qwen2"/)
  expect(stdout).toContain('"evil\\u001b[2J\\u009b2J name"')
  expect(JSON.parse((await mixtral(['inspect', path, '--json'])).stdout)).toMatchObject({
    runs: false,
    refusal: expect.stringContaining('qwen2'),
  })
})

test('inspect says what is odd about a vocabulary, and it and show list the sampling defaults of a file', async () => {
  const path = join(folder, 'odd.gguf')
  const vocabulary = metadataOf(normal('▁the', '▁a'), { eos_token_id: 259 })
  const types = { tokens: 'array<string>', scores: 'array<float32>', token_type: 'array<int32>', model: 'string' } as const
  const entries = [...vocabulary].map(([key, value]): GgufEntry => {
    const type = types[key.replace('tokenizer.ggml.', '') as keyof typeof types] ?? 'uint32'
    return [key, type, value] as GgufEntry
  })
  const metadata: GgufEntry[] = [
    ['general.architecture', 'string', 'llama'],
    ['general.sampling.temp', 'float32', 0.75],
    ['general.sampling.top_k', 'int32', 7],
    ['general.sampling.penalty_repeat', 'float32', 0],
    ...entries,
  ]
  const writer = await GgufWriter.create(path, { metadata, tensors: [{ name: 'a', type: ggmlTypeByName('F32')!, shape: [32] }] })
  await writer.write(new Uint8Array(128))
  await writer.close()

  const { stdout } = await mixtral(['inspect', path])
  expect(stdout).toMatch(/sampling, where a caller says nothing\n {2}temperature +0\.75\n {2}topK +7\n/)
  expect(stdout).toMatch(
    /notes\n {2}token 259, "▁the", begins prompts or ends answers and has the type normal.*\n {2}general\.sampling\.penalty_repeat .* ignored\n$/,
  )
  const facts = JSON.parse((await mixtral(['inspect', path, '--json'])).stdout)
  expect(facts).toMatchObject({
    sampling: { temperature: 0.75, top_k: 7 },
    notes: [expect.stringContaining('▁the'), expect.stringContaining('penalty')],
  })
  expect((await mixtral(['show', path])).stdout).toMatch(/sampling, where a caller says nothing\n {2}temperature +0\.75\n {2}topK +7\n/)
  expect(JSON.parse((await mixtral(['show', path, '--json'])).stdout)).toMatchObject({ sampling: { temperature: 0.75, topK: 7 } })
  expect(JSON.parse((await mixtral(['inspect', 'demo', '--json'])).stdout)).toMatchObject({ sampling: {}, notes: [] })
})
