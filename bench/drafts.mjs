// node bench/drafts.mjs FILE [--ram SIZE] [--simulate COST] [--tokens N] [--cases N] [--rounds N] [--threads N]
// What drafts bring where answers quote their prompts, and what they cost where they do not (draftCases.mjs: 20 prompts
// that are quoted, and talk). The answers are replayed: the model computes every step and draws every token, then the
// recorded token is taken in place of the drawn one, so a file with random weights will do. Acceptance is that of the
// recorded texts, under the tokenizer of the file. Each round writes each answer with drafts and without, by turns; the
// medians count. The time of the processor is told beside the clock's: it says more where other programs run, with one
// thread, which waits for no other. --ram: memory in bytes, such as 2.4e9, so that experts are read from the disk.
// --tokens: of an answer; --json. --simulate: no model runs, and a step takes this power of its rows, such as 0.75, or
// what is listed for 1, 2, 4, 8 and 16 of them: 1,1.68,2.9,4.76,7.4.

import process from 'node:process'
import { Tokenizer, WeightLoader } from '../dist/index.js'
import { Sampler } from '../dist/runtime/sampler/sampler.js'
import { Drafter } from '../dist/text/generate/drafter.js'
import { modelMemory } from '../dist/text/generate/modelMemory.js'
import { loadParts } from '../dist/text/generate/modelParts.js'
import { PromptLookup } from '../dist/text/generate/promptLookup.js'
import { readCommandLine } from './commandLine.mjs'
import { quoting, talk } from './draftCases.mjs'
import { rowCost, simulated } from './draftSimulation.mjs'

const text = { type: 'string' }
const options = { ram: text, tokens: text, cases: text, rounds: text, threads: text, simulate: text, json: { type: 'boolean' } }
const { values, positionals } = readCommandLine(import.meta.url, options, [1, 1])
const most = Number(values.tokens ?? 64)
const count = Number(values.cases ?? quoting.length)
const rounds = Number(values.rounds ?? 1)
const threads = Number(values.threads ?? 2)
const ram = values.ram === undefined ? {} : { ram: Number(values.ram) }

if (values.simulate !== undefined) {
  await simulate(rowCost(values.simulate))
  process.exit()
}

const { engine, tokenizer } = await loadParts(positionals[0], { threads, contextLength: 1024, ...ram })
const { experts, expertSlots } = modelMemory(engine.plan, engine.config)
const results = []
for (const [kind, cases] of Object.entries({ quoting: quoting.slice(0, count), talk })) {
  for (const [name, prompt, answer] of cases) {
    const { ids, recorded: all } = encode(tokenizer, prompt, answer)
    const recorded = all.slice(0, most)
    await engine.evaluate(ids)
    const times = { with: [], without: [] }
    const cpu = { with: [], without: [] }
    let drafts
    for (let round = 0; round < rounds; round++) {
      for (const way of round % 2 ? ['without', 'with'] : ['with', 'without']) {
        const { seconds, cpuSeconds, ...counts } = await replay(ids, recorded, way === 'with')
        times[way].push(seconds)
        cpu[way].push(cpuSeconds)
        if (way === 'with') drafts = counts
      }
    }
    const [seconds, without, cpuSeconds, cpuWithout] = [times.with, times.without, cpu.with, cpu.without].map(median)
    results.push({ kind, name, tokens: recorded.length, seconds, without, cpuSeconds, cpuWithout, ...drafts })
    if (!values.json) print(results.at(-1))
  }
}
await engine.close()

const totals = Object.fromEntries(['quoting', 'talk'].map((kind) => [kind, totalOf(results.filter((one) => one.kind === kind))]))
if (values.json) console.log(JSON.stringify({ threads, experts, expertSlots, results, totals }))
else {
  console.log(`${threads} threads, ${expertSlots} of ${experts} experts in memory`)
  for (const [kind, { gain, cpuGain, tokens, drafted, accepted }] of Object.entries(totals)) {
    const times = `${gain.toFixed(3)} times as fast, by the processor's time ${cpuGain.toFixed(3)}`
    console.log(`${kind}: ${times}; ${tokens} tokens, ${accepted} of ${drafted} drafted ones came`)
  }
}

/** What the texts alone say. */
async function simulate(costOf) {
  const { metadata } = await WeightLoader.fromGguf(positionals[0])
  const tokenizer = await Tokenizer.load(metadata)
  for (const [kind, cases] of Object.entries({ quoting: quoting.slice(0, count), talk })) {
    const encoded = cases.map(([, prompt, answer]) => encode(tokenizer, prompt, answer))
    const { tokens, drafted, accepted, steps, gain } = simulated(encoded, costOf)
    console.log(
      `${kind}: ${gain.toFixed(3)} times as fast; ${tokens} tokens in ${steps} steps, ${accepted} of ${drafted} drafted ones came`,
    )
  }
}

function encode(tokenizer, prompt, answer) {
  const recorded = tokenizer.encode(answer, { addBos: false, continues: true })
  return { ids: tokenizer.encode(prompt, { addBos: true, parseSpecial: true }), recorded }
}

/** Writes the recorded answer, token by token. Counts what was drafted, and what came. */
function replay(prompt, recorded, hasDrafts) {
  const sampler = new Sampler({ temperature: 0 })
  const drafter = new Drafter({ forces: false, endIds: new Set() }, new PromptLookup(prompt.length))
  const counts = { drafted: 0, accepted: 0, steps: engine.status.steps }
  let started = 0
  let cpuStarted
  const ids = [...prompt, recorded[0]] // the first token comes with the prompt
  return new Promise((resolve, reject) => {
    engine.submit({
      ids,
      from: ids.length - 1,
      started: () => {
        started = performance.now()
        cpuStarted = process.cpuUsage()
      },
      job: () => sampler.job(),
      take: (choice, place) => {
        sampler.take(choice)
        const next = recorded[place + 1 - prompt.length]
        return next === undefined ? [] : [next]
      },
      ...(hasDrafts && {
        draft: (all, limit) => drafter.draft(all, Math.min(limit, prompt.length + recorded.length - all.length - 1)),
        drafted: (drafted, accepted) => {
          counts.drafted += drafted
          counts.accepted += accepted
        },
      }),
      ended: (error) => {
        if (error) return reject(error)
        const { user, system } = process.cpuUsage(cpuStarted)
        const steps = engine.status.steps - counts.steps
        return resolve({ ...counts, steps, seconds: (performance.now() - started) / 1000, cpuSeconds: (user + system) / 1e6 })
      },
    })
  })
}

function print({ kind, name, tokens, without, seconds, cpuWithout, cpuSeconds, drafted, accepted, steps }) {
  const gain = (a, b) => `${(a / b).toFixed(2)} x`
  const times = `${without.toFixed(2)} s, with drafts ${seconds.toFixed(2)} s, ${gain(without, seconds)}, cpu ${gain(cpuWithout, cpuSeconds)}`
  console.log(`${kind.padEnd(8)}${name.padEnd(22)}${tokens} tokens in ${times}; ${accepted} of ${drafted} came, ${steps} steps`)
}

function totalOf(list) {
  const sum = (name) => list.reduce((all, one) => all + one[name], 0)
  const gains = { gain: sum('without') / sum('seconds'), cpuGain: sum('cpuWithout') / sum('cpuSeconds') }
  return { tokens: sum('tokens'), drafted: sum('drafted'), accepted: sum('accepted'), ...gains }
}

function median(list) {
  return list.toSorted((a, b) => a - b)[list.length >> 1]
}
