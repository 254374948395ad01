// node bench/scaling.mjs FILE [--threads 1,2,8,64] [--layers N] [--bandwidth GB/S] [--save JSON] [--from JSON] ...
// Also [--context N] [--tokens N] [--rounds N] [--atomic NS]. Predicts decode on machines of many cores. Measures the
// stages of a token on one thread, the memory's rate, and what threads cost each other; simulates a token on any number
// of threads, as the runtime shares it out now and as it did before; and holds the simulation against tokens a second
// that it measures on one and on two threads. `--bandwidth` is that of the large machine, `--atomic` what an addition
// to a word costs there that many threads add to. `--layers` makes the model larger than the file; `--save` keeps what
// was measured, `--from` simulates from that. The loss is what is missing to all threads always busy, or to the
// memory's rate.

import { readFileSync, writeFileSync } from 'node:fs'
import { openGguf } from '../dist/format/gguf/openGguf.js'
import { MixtralModel } from '../dist/index.js'
import { readCommandLine } from './commandLine.mjs'
import { readBandwidth } from './peers/bandwidth.mjs'
import { slowerBySize } from './scaling/callCosts.mjs'
import { crewCosts } from './scaling/crewCosts.mjs'
import { ideal, RULES, simulate } from './scaling/simulate.mjs'
import { stagesOf } from './scaling/stages.mjs'

const text = { type: 'string' }
const options = {
  threads: text,
  context: text,
  tokens: text,
  rounds: text,
  bandwidth: text,
  atomic: text,
  layers: text,
  save: text,
  from: text,
}
const { values, positionals } = readCommandLine(import.meta.url, options, [1, 1])
const [file] = positionals
const counts = (values.threads ?? '1,2,4,8,16,32,64').split(',').map(Number)
const context = Number(values.context ?? 256)
const tokens = Number(values.tokens ?? 12)
const rounds = Number(values.rounds ?? 5)
const bandwidth = Number(values.bandwidth ?? 320) * 1e9
const atomic = Number(values.atomic ?? 60) / 1e9
/**
 * Seconds after which a waiting thread sleeps, and until it is awake again (src/runtime/team/crew.ts; bench/LOG.md).
 */
const SPIN = 1e-4
const WAKE = 5e-5

const { tensors } = await openGguf(file)
const bytes = (pattern) => [...tensors.values()].reduce((sum, one) => sum + (pattern.test(one.name) ? one.bytes : 0), 0)
const SIZES = [4, 8, 16, 32, 64]
const figures = values.from ? JSON.parse(readFileSync(values.from, 'utf8')) : await measureAll()
if (values.save) writeFileSync(values.save, JSON.stringify(figures))
const { rates, shared, config, least, fixed, measured } = figures
const [seconds] = least
const slower = (size) =>
  figures.slower[
    Math.max(
      0,
      SIZES.findLastIndex((one) => one <= size),
    )
  ]
const inMicroseconds = (time) => `${(1e6 * time).toFixed(0)} us`
console.log(`memory ${rates.map((rate) => (rate / 1e9).toFixed(1)).join(' and ')} GB/s on 1 and 2 threads`)
console.log(
  `an atomic addition ${nanoseconds(shared.own)} alone, ${nanoseconds(shared.shared)} to a word that another thread has just written; a barrier of two ${nanoseconds(shared.barrier)}`,
)
console.log(`a row in calls of 4, 8, 16, 32 and 64 groups: ${SIZES.map((size) => slower(size).toFixed(2)).join(', ')} times the longest's`)

console.log(
  `\nmeasured ${measured.map((rate) => rate.toFixed(2)).join(' and ')} tokens/s on 1 and 2 threads, of which ${fixed.map(inMicroseconds).join(' and ')} in no stage`,
)
for (const stage of Object.keys(seconds)) {
  console.log(`  ${stage.padEnd(12)}${least.map((times) => inMicroseconds(times[stage]).padStart(10)).join('')}`)
}
const costs = (threads) => {
  const claim = threads === 2 ? shared.shared : atomic
  return { claim, release: Math.max(0, shared.barrier - 2 * shared.shared), spin: SPIN, wake: WAKE }
}
for (const threads of [1, 2]) {
  const machine = {
    threads,
    bandwidth: threads === 1 ? Number.POSITIVE_INFINITY : rates[1],
    costs: costs(threads),
    rules: RULES.now,
    fixed: fixed[threads - 1],
  }
  const predicted = 1 / simulate(stagesOf({ config, bytes, seconds, slower }, threads, false), machine)
  const off = predicted / measured[threads - 1] - 1
  console.log(`simulated ${predicted.toFixed(2)} tokens/s on ${threads}: ${off >= 0 ? '+' : ''}${(100 * off).toFixed(1)} %`)
}

const layers = Number(values.layers ?? config.layers)
const large = enlarged(layers)
console.log(`\n${layers} layers, memory of ${bandwidth / 1e9} GB/s, an atomic addition ${nanoseconds(atomic)}, context ${context}`)
console.log('threads   before   loss      now   loss   of it: units   claims   barriers   serial')
for (const threads of counts) {
  const machine = { threads, bandwidth: threads === 1 ? Number.POSITIVE_INFINITY : bandwidth, costs: costs(threads), fixed: fixed[1] }
  const times = ['before', 'now'].map((rules) =>
    simulate(stagesOf(large, threads, rules === 'before'), { ...machine, rules: RULES[rules] }),
  )
  const stages = stagesOf(large, threads, false)
  const floor = ideal(stages, machine)
  const share = (time) => `${(100 * (1 - floor / time)).toFixed(1)} %`.padStart(7)
  console.log(
    `${String(threads).padStart(7)} ${times.map((time) => (1 / time).toFixed(2).padStart(8) + share(time)).join(' ')}   ${parts(stages, machine, times[1]).join('')}`,
  )
}

/** What of a token's time goes where: each is what it would take less without. */
function parts(stages, machine, time) {
  const rules = RULES.now
  const free = { claim: 0, release: 0, wake: 0, spin: 1 }
  const share = (better) => `${((100 * (time - better)) / time).toFixed(1)} %`.padStart(11)
  const noClaims = simulate(stages, { ...machine, rules, costs: { ...machine.costs, claim: 0 } })
  const noBarriers = simulate(stages, { ...machine, rules, costs: { ...machine.costs, release: 0, wake: 0 } })
  const serial = stages
    .filter(({ units }) => units.length === 1)
    .reduce((sum, { units }) => sum + units[0].seconds * (1 - 1 / machine.threads), 0)
  const units = simulate(stages, { ...machine, rules, costs: free }) - ideal(stages, machine) - serial
  return [share(time - units), share(noClaims), share(noBarriers), share(time - serial)]
}

/** The file's model with more layers. */
function enlarged(layers) {
  const factor = layers / config.layers
  const outside = new Set(['embed', 'logits', 'sample'])
  const larger = Object.fromEntries(Object.entries(seconds).map(([stage, time]) => [stage, outside.has(stage) ? time : time * factor]))
  const isOutside = (pattern) => /output|token_embd/.test(pattern.source) && !/attn_output/.test(pattern.source)
  return {
    config: { ...config, layers },
    bytes: (pattern) => bytes(pattern) * (isOutside(pattern) ? 1 : factor),
    seconds: larger,
    slower,
  }
}

async function measureAll() {
  const rates = [readBandwidth(1), readBandwidth(2)]
  const slower = await slowerBySize(SIZES)
  const shared = await crewCosts()
  return { rates, slower, shared, ...(await measure()) }
}

/**
 * Seconds of each stage of a token, on one thread and on two, by turns: the least of all tokens, since other programs
 * only add. And of a token the least that is in no stage.
 */
async function measure() {
  const models = []
  for (const threads of [1, 2]) models.push(await MixtralModel.load(file, { threads, contextLength: context + tokens + 8, profile: true }))
  const { config } = models[0]
  const ids = Array.from({ length: context + tokens }, (_, at) => (at * 7919 + 13) % config.vocabSize)
  const least = [{}, {}]
  const outside = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let round = 0; round < rounds; round++) {
    for (const [i, model] of models.entries()) {
      await model.reset()
      await model.evaluate(ids.slice(0, context))
      await model.takeProfile()
      for (let count = context + 1; count <= ids.length; count++) {
        const start = performance.now()
        await model.evaluate(ids.slice(0, count))
        let rest = (performance.now() - start) / 1000
        for (const { stage, working, waiting } of await model.takeProfile()) {
          const time = (working + waiting) / (i + 1)
          rest -= time
          least[i][stage] = Math.min(least[i][stage] ?? Number.POSITIVE_INFINITY, time)
        }
        outside[i] = Math.min(outside[i], Math.max(0, rest))
      }
    }
  }
  for (const model of models) await model.close()
  const measured = least.map((stages, i) => 1 / (outside[i] + Object.values(stages).reduce((a, b) => a + b)))
  return { config, least, fixed: outside, measured }
}

function nanoseconds(seconds) {
  return `${(1e9 * seconds).toFixed(0)} ns`
}
