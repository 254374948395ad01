// node bench/adapters.mjs FILE [--rank N] [--matrices q,k,v,o] [--prompt N] [--tokens N] [--rounds N] [...]
// What a LoRA adapter costs: decode and prefill with it, and of calls without it in a model that has it, beside a model
// that was loaded without adapters. Its matrices are random, in F16; `router` and `experts` are those beside q, k, v
// and o. Each round measures all by turns, on an empty cache; the medians of the rounds' ratios count. Calls without
// the adapter must have the base model's logits, bit for bit. Also --threads N and --json. With --processor, it counts
// the time of processors, for a machine that does other things, too.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ggmlTypeByName } from '../dist/format/gguf/ggmlType.js'
import { writeGguf } from '../dist/format/gguf/writer.js'
import { MixtralModel } from '../dist/index.js'
import { parallelPrompt } from '../dist/interfaces/cli/benchParallel.js'
import { readCommandLine } from './commandLine.mjs'

const text = { type: 'string' }
const flag = { type: 'boolean' }
const options = { rank: text, matrices: text, prompt: text, tokens: text, rounds: text, threads: text, processor: flag, json: flag }
const { values, positionals, refuse } = readCommandLine(import.meta.url, options, [1, 1])
const [rank, promptTokens, tokens, rounds, threads] = [
  values.rank ?? 16,
  values.prompt ?? 256,
  values.tokens ?? 24,
  values.rounds ?? 7,
  values.threads ?? 2,
].map(Number)
const matrices = (values.matrices ?? 'q,k,v,o').split(',')
/** Milliseconds of the clock, or of all processors. */
const now = () => (values.processor ? process.cpuUsage().user / 1000 : performance.now())

const load = { threads, contextLength: promptTokens + tokens + 1, sequences: 1 }
const folder = mkdtempSync(join(tmpdir(), 'mixtral-bench-adapters-'))
try {
  const base = await MixtralModel.load(positionals[0], load)
  const file = join(folder, 'adapter.gguf')
  await writeAdapter(file, base.config)
  const adapted = await MixtralModel.load(positionals[0], { ...load, adapters: [file] })
  const ways = {
    base: [base, {}],
    without: [adapted, { adapters: [] }],
    with: [adapted, {}],
  }
  await checkBits(ways)
  const times = Object.fromEntries(Object.keys(ways).map((way) => [way, { prefill: [], decode: [] }]))
  for (let round = -1; round < rounds; round++) {
    for (const [way, [model, call]] of Object.entries(ways)) {
      const { prefill, decode } = await measure(model, call)
      if (round < 0) continue // kernels get warm
      times[way].prefill.push(prefill)
      times[way].decode.push(decode)
    }
  }
  report(times, {
    fileBytes: statSync(file).size,
    memoryBytes: adapted.memory.totalBytes - base.memory.totalBytes,
  })
  await Promise.all([base.close(), adapted.close()])
} finally {
  rmSync(folder, { recursive: true })
}

/** Milliseconds a token of a prompt, and of tokens behind it, one at a time: the same in all ways, experts too. */
async function measure(model, call) {
  await model.reset()
  const session = model.session()
  const start = now()
  await session.append(parallelPrompt(0, promptTokens, model.config.vocabSize), call)
  const read = now()
  for (const id of parallelPrompt(1, tokens, model.config.vocabSize)) await session.append([id], call)
  return { prefill: (read - start) / promptTokens, decode: (now() - read) / tokens }
}

async function checkBits(ways) {
  const ids = parallelPrompt(1, 16, ways.base[0].config.vocabSize)
  const hashes = {}
  for (const [way, [model, call]] of Object.entries(ways)) {
    hashes[way] = createHash('sha256')
      .update(new Uint8Array((await model.logits(ids, call)).buffer))
      .digest('hex')
  }
  if (hashes.base !== hashes.without) throw new Error('rows without an adapter differ from the base model')
  if (hashes.base === hashes.with) throw new Error('the adapter changes nothing')
}

function report(times, { fileBytes, memoryBytes }) {
  const results = ['without', 'with'].map((way) => ({
    way,
    ...Object.fromEntries(
      ['decode', 'prefill'].map((phase) => {
        const ratios = times[way][phase].map((time, round) => time / times.base[phase][round])
        return [phase, { base: median(times.base[phase]), time: median(times[way][phase]), ratio: median(ratios) }]
      }),
    ),
  }))
  if (values.json) {
    console.log(JSON.stringify({ rank, matrices, threads, processor: values.processor === true, rounds, results, fileBytes, memoryBytes }))
    return
  }
  const unit = values.processor ? 'milliseconds of processors' : 'milliseconds'
  console.log(
    `${threads} threads, rank ${rank} of ${matrices.join(', ')}, medians of ${rounds}; ${unit} a token, and beside the base model`,
  )
  for (const { way, decode, prefill } of results) {
    const one = ({ base, time, ratio }) => `${time.toFixed(2)} to ${base.toFixed(2)}, ${percent(ratio - 1)}`
    console.log(`${way === 'with' ? 'with the adapter' : 'calls without it'}: decode ${one(decode)}; prefill ${one(prefill)}`)
  }
  console.log(`memory: ${memoryBytes} bytes, file ${fileBytes}`)
}

/** Writes factors as llama.cpp's converter does, in F16: (rank, inputs) and (outputs, rank) of each matrix. */
async function writeAdapter(file, { layers, hiddenSize, intermediateSize, heads, kvHeads, headDim, experts }) {
  const query = heads * headDim
  const key = kvHeads * headDim
  const shapes = {
    q: [['attn_q', query, hiddenSize]],
    k: [['attn_k', key, hiddenSize]],
    v: [['attn_v', key, hiddenSize]],
    o: [['attn_output', hiddenSize, query]],
    router: [['ffn_gate_inp', experts, hiddenSize]],
    experts: [
      ['ffn_gate_exps', intermediateSize, hiddenSize, experts],
      ['ffn_up_exps', intermediateSize, hiddenSize, experts],
      ['ffn_down_exps', hiddenSize, intermediateSize, experts],
    ],
  }
  const unknown = matrices.find((one) => !Object.hasOwn(shapes, one))
  if (unknown !== undefined) refuse(`found ${unknown}, expected ${Object.keys(shapes).join(', ')}`)
  let state = 1
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  }
  /** Halves between 2^-8 and 2^-6, of either sign. */
  const halves = (count) => {
    const bits = Uint16Array.from({ length: count }, () => 0x1c00 + (random() >>> 21) + ((random() >>> 16) & 0x8000))
    return new Uint8Array(bits.buffer)
  }
  const tensors = Array.from({ length: layers }, (_, layer) =>
    matrices.flatMap((one) =>
      shapes[one].flatMap(([name, rows, columns, many]) => {
        const tensor = (which, shape) => ({
          name: `blk.${layer}.${name}.weight.lora_${which}`,
          type: ggmlTypeByName('F16'),
          shape: [...shape, ...(many ? [many] : [])],
          pieces: () => [halves(shape[0] * shape[1] * (many ?? 1))],
        })
        return [tensor('a', [columns, rank]), tensor('b', [rank, rows])]
      }),
    ),
  ).flat()
  const metadata = [
    ['general.architecture', 'string', 'llama'],
    ['general.type', 'string', 'adapter'],
    ['adapter.type', 'string', 'lora'],
    ['adapter.lora.alpha', 'float32', rank],
  ]
  await writeGguf(file, { metadata, tensors })
}

function percent(part) {
  return `${part < 0 ? '' : '+'}${(100 * part).toFixed(2)} %`
}

function median(all) {
  return all.toSorted((a, b) => a - b)[all.length >> 1]
}
