// The demo model as a checkpoint, made from its F16 file by undoing what a conversion does: the conversion must give
// that file's tensors back.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { convertCheckpoint } from '../../../dist/authoring/convert/convert.js'
import type { GgufTensor } from '../../../dist/format/gguf/gguf.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import type { FileTensor } from '../../format/tensors/safetensorsFile.js'
import { configOf, tokenizerModel, writeJson, writeWeights } from './sourceModel.js'

const golden = fileURLToPath(new URL('../../golden/models/tiny-mixtral.F16.gguf', import.meta.url))
const model = {
  ...{ layers: 6, hidden: 256, intermediate: 256, heads: 4, kvHeads: 2, headDim: 64, experts: 8, used: 2, vocab: 2048 },
  ropeTheta: 1e6,
  tied: false,
}

test('a checkpoint of the demo model becomes its F16 file again, tensor by tensor', async () => {
  const gguf = await openGguf(golden)
  const file = await fs.readFile(golden)
  const bytesOf = ({ offset, bytes }: GgufTensor) => new Uint8Array(file.subarray(offset, offset + bytes))
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'convert-'))
  try {
    const tensors = [...gguf.tensors.values()].flatMap((tensor) => sourceOf(tensor, bytesOf(tensor)))
    await writeWeights(folder, tensors, { stem: 'model', shards: 4 })
    await writeJson(folder, 'config.json', configOf(model))
    await fs.copyFile(tokenizerModel, path.join(folder, 'tokenizer.model'))
    const target = path.join(folder, 'demo.gguf')
    await convertCheckpoint(folder, target)

    const found = await openGguf(target)
    const foundFile = await fs.readFile(target)
    expect([...found.tensors.keys()].sort()).toEqual([...gguf.tensors.keys()].sort())
    for (const tensor of gguf.tensors.values()) {
      const { type, shape, offset, bytes } = found.tensors.get(tensor.name)!
      expect({ type, shape }, tensor.name).toEqual({ type: tensor.type, shape: tensor.shape })
      expect(Buffer.compare(foundFile.subarray(offset, offset + bytes), bytesOf(tensor)), tensor.name).toBe(0)
    }
    for (const [key, value] of gguf.metadata) {
      if (!/^general\.|chat_template|add_..s_token/.test(key)) expect(found.metadata.get(key), key).toEqual(value)
    }
  } finally {
    await fs.rm(folder, { recursive: true })
  }
})

/** What a tensor was in transformers' layout. */
function sourceOf({ name, type, shape }: GgufTensor, bytes: Uint8Array): FileTensor[] {
  const dtype = type.name
  const outer = shape.toReversed()
  const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? []
  const as = (source: string, data = bytes) => [{ name: source, dtype, shape: outer, bytes: data }]
  if (part === undefined) {
    const names = {
      'token_embd.weight': 'model.embed_tokens.weight',
      'output_norm.weight': 'model.norm.weight',
      'output.weight': 'lm_head.weight',
    }
    return as(names[name as keyof typeof names])
  }
  const prefix = `model.layers.${layer}`
  const matrix = { ffn_gate_exps: 'w1', ffn_down_exps: 'w2', ffn_up_exps: 'w3' }[part]
  if (matrix) {
    const each = bytes.length / model.experts
    return Array.from({ length: model.experts }, (_, e) => ({
      name: `${prefix}.block_sparse_moe.experts.${e}.${matrix}.weight`,
      ...{ dtype, shape: outer.slice(1), bytes: bytes.slice(e * each, (e + 1) * each) },
    }))
  }
  const names: Record<string, string> = {
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_output: 'self_attn.o_proj',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate_inp: 'block_sparse_moe.gate',
  }
  return as(`${prefix}.${names[part]}.weight`, /attn_[qk]$/.test(part) ? halves(bytes, shape[0]! * type.blockBytes) : bytes)
}

/** The rows of each head with the even ones first. */
function halves(bytes: Uint8Array, rowBytes: number): Uint8Array {
  const { headDim } = model
  const out = new Uint8Array(bytes.length)
  for (let row = 0; row < bytes.length / rowBytes; row++) {
    const inHead = row % headDim
    const to = row - inHead + (inHead % 2 === 0 ? inHead / 2 : headDim / 2 + (inHead - 1) / 2)
    out.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), to * rowBytes)
  }
  return out
}
