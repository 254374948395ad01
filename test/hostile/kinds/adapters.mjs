// Adapters: GGUF files, and the two files of a PEFT folder. One file is damaged, the first byte says which; the adapter
// is read to the tiny model, and a folder is planned as the file that it would become.

import fs from 'node:fs/promises'
import path from 'node:path'
import { planAdapter } from '../../../dist/authoring/convert/adapterPlan.js'
import { encodeHeader } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { adapterFacts } from '../../../dist/interfaces/inspect/adapterFacts.js'
import { loadGgufAdapter } from '../../../dist/runtime/adapters/ggufAdapter.js'
import { loadPeftAdapter } from '../../../dist/runtime/adapters/peftAdapter.js'
import { mutateBytes, mutateJson, mutateJsonText } from '../mutations.mjs'
import { ggufBytes, safetensors, tiny } from '../tinyModel.mjs'

const base = {
  ...{ layers: tiny.layers, vocabSize: 268, hiddenSize: tiny.hidden, intermediateSize: tiny.intermediate, heads: tiny.heads },
  ...{ kvHeads: tiny.kvHeads, headDim: tiny.headDim, experts: tiny.experts },
}
const rank = 2
const { hidden, experts } = tiny
const widths = { attn_q: tiny.heads * tiny.headDim, attn_k: tiny.kvHeads * tiny.headDim, ffn_gate_inp: experts }

const metadata = [
  ['general.architecture', 'string', 'llama'],
  ['general.type', 'string', 'adapter'],
  ['adapter.type', 'string', 'lora'],
  ['adapter.lora.alpha', 'float32', 4],
]
const F32 = ggmlTypeByName('F32')
const tensors = [
  ...Object.entries(widths).flatMap(([name, rows]) => [
    { name: `blk.0.${name}.weight.lora_a`, type: F32, shape: [hidden, rank] },
    { name: `blk.0.${name}.weight.lora_b`, type: F32, shape: [rank, rows] },
  ]),
  { name: 'blk.0.ffn_up_exps.weight.lora_a', type: F32, shape: [hidden, rank, experts] },
  { name: 'blk.0.ffn_up_exps.weight.lora_b', type: F32, shape: [rank, hidden, experts] },
]
const file = ggufBytes({ metadata, tensors })

/** Keys and shapes of the right types and wrong values, with zeros for data. */
function mutatedPlan(random) {
  for (let n = 0; n < 20; n++) {
    try {
      const values = mutateJson(random, Object.fromEntries(metadata.map(([key, , value]) => [key, value])))
      const shapes = mutateJson(
        random,
        tensors.map(({ name, shape }) => ({ name, shape })),
      )
      const plan = {
        metadata: metadata.flatMap(([key, type]) => (Object.hasOwn(values, key) ? [[key, type, values[key]]] : [])),
        tensors: shapes.map(({ name, shape }) => ({ name, type: F32, shape })),
      }
      const { bytes, fileBytes } = encodeHeader(plan)
      if (fileBytes > 2 ** 20) continue
      const whole = new Uint8Array(fileBytes)
      whole.set(bytes)
      return whole
    } catch {
      // a value that no file can hold
    }
  }
  return file
}

export const config = {
  ...{ peft_type: 'LORA', r: rank, lora_alpha: 4, bias: 'none', use_rslora: false, use_dora: false, modules_to_save: null },
  ...{ rank_pattern: { 'layers.0.self_attn.v_proj': 1 }, alpha_pattern: { '^model.layers.0.self_attn.q_proj': 3, gate: 2 } },
  ...{ base_model_name_or_path: 'a/b', target_modules: ['q_proj'], init_lora_weights: true },
}
const modules = [
  ['self_attn.q_proj', widths.attn_q, rank],
  ['self_attn.v_proj', widths.attn_k, 1],
  ['block_sparse_moe.gate', experts, rank],
  ['block_sparse_moe.experts.1.w1', hidden, rank],
]
const named = modules.flatMap(([module, rows, own]) => [
  [`base_model.model.model.layers.0.${module}.lora_A.weight`, [own, hidden]],
  [`base_model.model.model.layers.0.${module}.lora_B.weight`, [rows, own]],
])
const fused = [
  ['base_model.model.model.layers.0.mlp.experts.lora_A.weight', [rank * experts, hidden]],
  ['base_model.model.model.layers.0.mlp.experts.lora_B.weight', [2 * hidden, rank * experts]],
]
const weights = [safetensors(named), safetensors(fused)]
const headerOf = (bytes) =>
  JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)))))

const joined = (first, bytes) => Buffer.concat([Uint8Array.of(first), bytes])

export const adapters = {
  name: 'adapters',
  share: 10,
  make(random) {
    const which = random.below(4)
    if (which === 0) return joined(0, random.chance(0.5) ? mutateBytes(random, file) : mutatedPlan(random))
    if (which === 1) return joined(1, new TextEncoder().encode(mutateJsonText(random, config)))
    const [shapes, whole] = which === 2 ? [named, weights[0]] : [fused, weights[1]]
    return joined(2, random.chance(0.5) ? mutateBytes(random, whole) : safetensors(shapes, mutateJson(random, headerOf(whole))))
  },
  async use(bytes, folder) {
    const content = bytes.subarray(1)
    const which = (bytes[0] ?? 0) % 3
    if (which === 0) {
      const target = path.join(folder, 'adapter.gguf')
      await fs.writeFile(target, content)
      const gguf = await openGguf(target)
      adapterFacts(gguf)
      await loadGgufAdapter(gguf, base)
      return
    }
    await fs.writeFile(path.join(folder, 'adapter_config.json'), which === 1 ? content : JSON.stringify(config))
    await fs.writeFile(path.join(folder, 'adapter_model.safetensors'), which === 2 ? content : weights[0])
    const { tensors: planned } = planAdapter(await loadPeftAdapter(folder, base), base, undefined, 'a/b')
    for (const { pieces } of planned) for (const _ of pieces());
  },
}
