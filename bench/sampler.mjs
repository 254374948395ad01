// node bench/sampler.mjs [--vocabulary 32000] [--quick] [--json]
// What choosing a token costs, on one thread, for a row of logits like a model's: by options, and with
// log-probabilities. Every case is checked against a full sort, or the formula, before it is timed. Owns the rows, the
// checks and the table.

import os from 'node:os'
import { Bench } from 'tinybench'
import { choose } from '../dist/runtime/sampler/choose.js'
import { Sampler } from '../dist/runtime/sampler/sampler.js'
import { readCommandLine } from './commandLine.mjs'

const off = { temperature: 1, topK: 0, topP: 1, minP: 0 }
const cases = [
  { name: 'greedy', options: { temperature: 0 } },
  { name: 'defaults', options: {} },
  { name: 'everything off', options: off },
  { name: 'top-p alone', options: { ...off, topP: 0.95 } },
  { name: 'min-p alone', options: { ...off, minP: 0.05 } },
  { name: 'top-n-sigma alone', options: { ...off, topNSigma: 1 } },
  { name: 'typical alone', options: { ...off, typicalP: 0.9 } },
  { name: 'XTC alone', options: { ...off, xtcProbability: 1 } },
  { name: 'mirostat 2', options: { ...off, mirostat: 2 } },
  { name: 'penalties', options: { repetitionPenalty: 1.1, frequencyPenalty: 0.1 } },
  { name: 'DRY', options: { dryMultiplier: 0.8 } },
  { name: 'mask of half', options: {}, rules: (vocabulary) => ({ constraint: { mask: () => halfOf(vocabulary), accept() {} } }) },
  { name: 'log-probability', options: {}, rules: () => ({ top: 0 }) },
  { name: 'log-probabilities, 20', options: {}, rules: () => ({ top: 20 }) },
]
const HISTORY = 2000 // tokens that penalties and DRY look at

const flag = { type: 'boolean', default: false }
const { values, refuse } = readCommandLine(import.meta.url, { vocabulary: { type: 'string', default: '32000' }, quick: flag, json: flag })
const vocabulary = Number(values.vocabulary)
if (!Number.isInteger(vocabulary) || vocabulary < 1000)
  refuse(`--vocabulary: found ${values.vocabulary}, expected a whole number from 1000`)
const { quick, json } = values

const rows = Array.from({ length: 8 }, (_, seed) => rowOf(seed))
const report = { machine: `${os.cpus()[0]?.model}, ${os.cpus().length} cores`, node: process.version, vocabulary, results: [] }
if (!json)
  console.log(`${report.machine}; Node ${report.node}; ${vocabulary} tokens\n\n${'options'.padEnd(24)}${'ms a token'.padStart(10)}  spread`)
for (const { name, options, rules = () => ({}) } of cases) {
  const sampler = () => {
    const made = new Sampler({ ...options, seed: 1 }, rules(vocabulary))
    made.read(Array.from({ length: HISTORY }, (_, i) => (i * i) % 97))
    return made
  }
  verify(name, sampler(), options)
  const timed = sampler()
  let next = 0
  const bench = new Bench({ time: quick ? 100 : 1000, iterations: 20, warmupTime: quick ? 50 : 300, warmupIterations: 20, throws: true })
  bench.add(name, () => timed.sample(rows[next++ % rows.length]))
  const [task] = await bench.run()
  const { p50, mad } = task.result.latency
  report.results.push({ name, milliseconds: p50, spread: mad / p50 })
  if (!json) console.log(`${name.padEnd(24)}${p50.toFixed(3).padStart(10)}  ${((100 * mad) / p50).toFixed(0)} %`)
}
if (json) console.log(JSON.stringify(report))

/**
 * Checks choices on every row: the best by a full sort where few tokens are kept, sums of probabilities, and the
 * log-softmax.
 */
function verify(name, sampler, { temperature = 0.8, topK = 40 }) {
  for (const row of rows) {
    const job = sampler.job()
    const { id } = choose(row, job)
    const { top } = choose(row, { ...job, top: vocabulary, postSampling: 1 })
    const sum = top.values.reduce((total, value) => total + Math.exp(value), 0)
    if (!top.ids.includes(id) || Math.abs(sum - 1) > 1e-9)
      throw new Error(`${name}: the drawn token is not among those left, which sum to ${sum}`)
    const plain = job.bias.ids.length + job.counts.ids.length + job.dry.ids.length === 0 && !job.mask && !job.settings.xtcProbability
    if (plain && job.settings.typicalP === 1) {
      const sorted = [...row.keys()].sort((a, b) => row[b] - row[a] || a - b).slice(0, top.ids.length)
      if (sorted.some((best, rank) => best !== top.ids[rank])) throw new Error(`${name}: the tokens left are not the most likely ones`)
      if (temperature === 0 ? top.ids.length !== 1 : topK > 0 && top.ids.length > topK) throw new Error(`${name}: too many tokens are left`)
    }
    if (job.top >= 0) {
      const { id: drawn, logprob } = choose(row, job)
      const most = Math.max(...row)
      const expected = row[drawn] - most - Math.log(row.reduce((total, logit) => total + Math.exp(logit - most), 0))
      if (Math.abs(logprob - expected) > 1e-9) throw new Error(`${name}: the log-probability is ${logprob}, expected ${expected}`)
    }
    sampler.sample(row)
  }
}

/**
 * Logits like those of a model in the middle of a text: most of them far below a few, between which it is undecided.
 */
function rowOf(seed) {
  let state = seed + 1
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const row = Float32Array.from({ length: vocabulary }, () => {
    let sum = 0
    for (let i = 0; i < 12; i++) sum += random()
    return (sum - 6) * 2.5
  })
  for (let i = 0; i < 12; i++) row[Math.floor(random() * vocabulary)] = 10 + i / 2
  return row
}

function halfOf(vocabulary) {
  return new Uint32Array(Math.ceil(vocabulary / 32)).fill(0x55555555)
}
