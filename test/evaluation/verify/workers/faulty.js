// The real worker, but something is wrong on purpose: the environment data `fault` says what. Kernels are wrapped where
// they are instantiated; a weight is damaged as soon as it is in its bank.

import fs from 'node:fs'
import { getEnvironmentData } from 'node:worker_threads'
import { workerData } from 'piscina'
import { packings } from '../../../../dist/runtime/kernels/packing.js'

const fault = getEnvironmentData('fault')
const { memories, plan, config } = workerData
const { Instance } = WebAssembly

/** The place of a tensor in a bank: of an expert, the matrix of that expert. */
function placeOf({ tensor, expert = 0 }) {
  const loads = plan.loads.filter(({ slice }) => slice.name === tensor)
  return loads[tensor === 'token_embd.weight' ? 0 : expert]
}

/**
 * Faults of kernels: each gets the real exports and the memory, and returns those that replace them. Token 4 is the one
 * that suffers.
 */
const wrongKernels = {
  /** One angle of one position. */
  rope: ({ rope }, { floats }) => ({
    rope: (x, heads, headDim, pairs, turns) => {
      const { at, bytes } = plan.scratch.ropeTable
      const angle = turns / 4 + 2 * 5
      const [cos, sin] = floats.subarray(angle, angle + 2)
      if (turns === at + 4 * bytes) floats.set([Math.cos(Math.acos(cos) + 0.001), sin], angle)
      rope(x, heads, headDim, pairs, turns)
      floats.set([cos, sin], angle)
    },
  }),
  /** One expert of one token in all layers of the bank. */
  route: ({ route }, { ints }) => ({
    route: (logits, experts, used, ids, weights) => {
      route(logits, experts, used, ids, weights)
      const chosen = ints.subarray(ids / 4, ids / 4 + used)
      if (ids === plan.scratch.expertIds.at + 4 * plan.scratch.expertIds.bytes) {
        chosen[used - 1] = Array.from({ length: experts }, (_, expert) => expert).find((expert) => !chosen.includes(expert))
      }
    },
  }),
  'the second expert forgotten': ({ add_scaled }, { floats }) => {
    let calls = 0
    return { add_scaled: (x, y, count, scale) => add_scaled(x, y, count, ++calls % config.expertsPerToken ? scale : 0 * floats[0]) }
  },
  norm: ({ rms_norm }) => ({ rms_norm: (x, weight, out, count, eps) => rms_norm(x, weight, out, count, eps * 100) }),
  residual: ({ add }) => ({ add: (x, y, count) => add(x, y, count - 1) }),
  swiglu: ({ swiglu }, { floats }) => ({
    swiglu: (gate, up, count) => {
      swiglu(gate, up, count)
      floats[gate / 4 + 9] *= 2
    },
  }),
  /** The window is one position too short: the key of the first token is not seen. */
  attention: ({ attention_f16 }) => ({
    attention_f16: (...operands) => {
      const [position, tokens] = [operands[9], operands[3]]
      attention_f16(...operands.slice(0, 10), position + tokens - 1 || 1, ...operands.slice(11))
    },
  }),
  'the key cache': ({ store_kv_f16 }) => ({
    store_kv_f16: (key, value, headDim, keys, values, position) =>
      store_kv_f16(key, value, headDim, keys, values, position === 3 ? 2 : position),
  }),
  'one row in the product of four tokens': ({ matmul_q6_k_x4 }, { floats }) => ({
    matmul_q6_k_x4: (...operands) => {
      matmul_q6_k_x4(...operands)
      floats[operands[8] / 4 + 2] *= 1 + 2 ** -20
    },
  }),
  'a product that is a thousandth too large': ({ matmul_q5_k_x1, matmul_q5_k_x4 }, { floats }) => {
    const grow = (groups, ...outs) => {
      for (const out of outs) for (let i = 0; i < groups * 4; i++) floats[out / 4 + i] *= 1.001
    }
    return {
      matmul_q5_k_x1: (weights, groups, blocks, x, out) => {
        matmul_q5_k_x1(weights, groups, blocks, x, out)
        grow(groups, out)
      },
      matmul_q5_k_x4: (...operands) => {
        matmul_q5_k_x4(...operands)
        grow(operands[1], ...operands.slice(7))
      },
    }
  },
}

/** Damages the byte when it has just been written into its bank, with those beside it. */
function damage(bytes, from, count) {
  if (typeof fault === 'string') return
  const { bank, at } = placeOf(fault)
  const target = at + fault.byte
  if (bytes.buffer === memories[bank].buffer && from <= target && target < from + count) bytes[target] ^= fault.bits
}

function damagingRepacks(exports, bytes) {
  const repacks = Object.entries(exports).filter(([name]) => name.startsWith('repack_'))
  return Object.fromEntries(
    repacks.map(([name, repack]) => [
      name,
      (src, rows, blocks, dst) => {
        const result = repack(src, rows, blocks, dst)
        const { groupBytes } = Object.entries(packings).find(([type]) => `repack_${type.toLowerCase()}` === name)[1]
        damage(bytes, dst, Math.ceil(rows / 4) * groupBytes(blocks))
        return result
      },
    ]),
  )
}

/** What is not packed is read into its bank. */
const { readSync } = fs
fs.readSync = (file, bytes, offset, length, position) => {
  const read = readSync(file, bytes, offset, length, position)
  // into a bank, but not into a thread's scratch there
  if (offset >= plan.scratch.bytes) damage(bytes, offset, read)
  return read
}

WebAssembly.Instance = new Proxy(Instance, {
  construct(_, [module, imports]) {
    const { exports } = new Instance(module, imports)
    const { buffer } = imports.env.memory
    const views = { bytes: new Uint8Array(buffer), floats: new Float32Array(buffer), ints: new Int32Array(buffer) }
    const changed = typeof fault === 'string' ? wrongKernels[fault](exports, views) : damagingRepacks(exports, views.bytes)
    return { exports: { ...exports, ...changed } }
  },
})

const { default: seat } = await import('../../../../dist/runtime/engine/worker.js')

export default seat
