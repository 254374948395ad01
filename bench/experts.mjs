// node bench/experts.mjs [--tokens N] [--parts N] [--threads N]
// What the statistics of experts cost, and whether they are those of the traced tensors: over 100,000 tokens of the
// demo model, or --tokens N. Prints the time, and the processor's time of all threads, beside that of the same text in
// the same windows without counting, of parts of it in turn; with Node's --expose-gc the memory of a quarter and of
// all; and the shares, repetitions and losses that differ from those computed from `trace`.

import { readFileSync } from 'node:fs'
import { expertStatistics, MixtralModel } from '../dist/index.js'
import { readCommandLine } from './commandLine.mjs'

const number = (usual) => ({ type: 'string', default: usual })
const options = { tokens: number('100000'), parts: number('20'), threads: number('2') }
const { values: flags } = readCommandLine(import.meta.url, options)
const tokens = Number(flags.tokens)
const WINDOW = 512
const model = await MixtralModel.load('demo', { threads: Number(flags.threads) })
const { layers, experts, expertsPerToken: used } = model.config
const { bosId } = model.tokenizer

const page = readFileSync(new URL('../test/golden/demo/eval.txt', import.meta.url), 'utf8')
const ofPage = model.tokenizer.encode(page, { addBos: false }).length
const textOf = (count) => page.repeat(Math.ceil((count / ofPage) * 1.05) + 1)

/** The windows of the statistics, each with BOS. */
function* windowsOf(ids) {
  for (let start = 0; start < ids.length; start += WINDOW - 1) yield [bosId, ...ids.slice(start, start + WINDOW - 1)]
}

const text = textOf(tokens)
const ids = model.tokenizer.encode(text, { addBos: false }).slice(0, tokens)
const timed = async (work) => {
  const [start, before] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(before)
  return { wall: performance.now() - start, cpu: (user + system) / 1000 }
}

const parts = Number(flags.parts)
const size = Math.ceil(tokens / parts)
const rows = []
await expertStatistics(model, [{ domain: 'warm', text }], { tokens: Math.min(tokens, 4000), contextLength: WINDOW })
for (let part = 0; part < parts; part++) {
  const own = ids.slice(part * size, (part + 1) * size)
  const ownText = model.tokenizer.decode(own)
  const length = Math.min(own.length, model.tokenizer.encode(ownText, { addBos: false }).length)
  const runs = {
    plain: async () => {
      const encoded = model.tokenizer.encode(ownText, { addBos: false }).slice(0, length)
      for (const window of windowsOf(encoded)) await model.evaluate(window)
    },
    counted: () => expertStatistics(model, [{ domain: 'all', text: ownText }], { tokens: length, contextLength: WINDOW }),
  }
  const row = {}
  for (const kind of part % 2 ? ['counted', 'plain'] : ['plain', 'counted']) {
    await model.reset()
    row[kind] = await timed(runs[kind])
  }
  rows.push(row)
}
console.log(`${ids.length} tokens in windows of ${WINDOW}, ${model.threads} threads, ${parts} parts`)
for (const [what, name] of [
  ['wall', 'time'],
  ['cpu', "processors' time"],
]) {
  const sum = (kind) => rows.reduce((sum, row) => sum + row[kind][what], 0)
  const more = sum('counted') / sum('plain') - 1
  const ofParts = rows.map(({ plain, counted }) => counted[what] / plain[what] - 1).sort((a, b) => a - b)
  const median = (ofParts[Math.floor((parts - 1) / 2)] + ofParts[Math.floor(parts / 2)]) / 2
  const perToken = (all) => `${((all / ids.length) * 1000).toFixed(1)} us a token`
  console.log(
    `${name}: ${perToken(sum('plain'))}, with statistics ${perToken(sum('counted'))}; ${(more * 100).toFixed(1)} % more; median of the parts ${(median * 100).toFixed(1)} %`,
  )
}

// memory: its highest point while a quarter of the tokens are counted, and all
let statistics
for (const count of [Math.ceil(tokens / 4), tokens]) {
  const own = textOf(count)
  globalThis.gc?.()
  const before = process.memoryUsage()
  let most = 0
  let looked = 0
  statistics = await expertStatistics(model, [{ domain: 'all', text: own }], {
    tokens: count,
    contextLength: WINDOW,
    onProgress: () => {
      if (looked++ % 20) return
      globalThis.gc?.()
      const { heapUsed, arrayBuffers } = process.memoryUsage()
      most = Math.max(most, heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers)
    },
  })
  if (globalThis.gc)
    console.log(
      `memory of ${count} tokens: ${(most / 1e6).toFixed(2)} MB while counting, ${((count * 4) / 1e6).toFixed(2)} MB of them the ids`,
    )
}

// the same from the traced tensors
const shares = new Float64Array(layers * experts)
const [firsts, anys] = [new Float64Array(layers), new Float64Array(layers)]
const [choices, probabilities] = [new Float64Array(layers * used * experts), new Float64Array(layers * experts)]
let pairs = 0
const traced = await timed(async () => {
  for (const window of windowsOf(ids)) {
    const tensors = await model.trace(window, { tensors: ['ffn_moe_topk-*', 'ffn_moe_logits-*'] })
    pairs += window.length - 2
    for (let layer = 0; layer < layers; layer++) {
      const top = tensors.find(({ name }) => name === `ffn_moe_topk-${layer}`).values
      const logits = tensors.find(({ name }) => name === `ffn_moe_logits-${layer}`).values
      for (let t = 1; t < window.length; t++) {
        const [own, before] = [t, t - 1].map((at) => [...top.subarray(at * used, (at + 1) * used)])
        own.forEach((expert, rank) => {
          shares[layer * experts + expert] += 1 / (used * ids.length)
          choices[(layer * used + rank) * experts + expert] += 1
        })
        if (t > 1 && own[0] === before[0]) firsts[layer]++
        if (t > 1 && own.some((expert) => before.includes(expert))) anys[layer]++
        const odds = [...logits.subarray(t * experts, (t + 1) * experts)].map(Math.exp)
        const sum = odds.reduce((a, b) => a + b)
        odds.forEach((odd, e) => {
          probabilities[layer * experts + e] += odd / sum
        })
      }
    }
  }
})
let furthest = 0
const compare = (what, value, expected) => {
  const off = Math.abs(value - expected)
  furthest = Math.max(furthest, off)
  if (!(off < 1e-6)) console.log(`${what} is ${value}, from trace ${expected}`)
}
const lossOf = (rows, choices, probabilities) =>
  experts * choices.reduce((sum, count, i) => sum + (count / rows) * (probabilities[i % experts] / rows), 0)
for (const [layer, figures] of statistics.all.layers.entries()) {
  for (const [e, share] of figures.shares.entries())
    compare(`the share of expert ${e} of layer ${layer}`, share, shares[layer * experts + e])
  compare(`firstRepeats of layer ${layer}`, figures.firstRepeats, firsts[layer] / pairs)
  compare(`anyRepeats of layer ${layer}`, figures.anyRepeats, anys[layer] / pairs)
  const own = choices.subarray(layer * used * experts, (layer + 1) * used * experts)
  const p = probabilities.subarray(layer * experts, (layer + 1) * experts)
  compare(`the loss of layer ${layer}`, figures.balancingLoss, lossOf(ids.length, own, p))
}
console.log(
  `from trace in ${(traced.wall / 1000).toFixed(1)} s: ${statistics.all.tokens} tokens, the figures differ by ${furthest.toExponential(1)} at most`,
)
await model.close()
