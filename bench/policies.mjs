// node bench/policies.mjs TRACE.json [TRACE.json ...]
// Which expert to evict? Runs policies over recorded routing (routing.mjs): a prompt of half the tokens in one step,
// the rest one by one. Prints experts read per token of each, for several capacities, beside the optimum that knows the
// future (Belady), and what it would add to prefetch all that the next layers' routers predict (the runtime prefetches
// only while no required expert is missing). `next use` is the runtime's policy
// (src/runtime/residency/residencyTable.ts).

import { readFileSync } from 'node:fs'
import { readCommandLine } from './commandLine.mjs'
import { nextUse, stepsOf } from './traceSteps.mjs'

/** A policy sees every layer, and says what it costs to keep an expert: the one with the highest cost is evicted. */
const policies = {
  random: () => ({ see() {}, cost: () => Math.random() }),
  LRU: () => {
    const last = new Map()
    let clock = 0
    return {
      see(_, __, keys) {
        for (const key of keys) last.set(key, ++clock)
      },
      cost: (key) => -(last.get(key) ?? 0),
    }
  },
  ...Object.fromEntries([0.8, 0.9, 0.95, 0.98].map((decay) => [`LFU, decay ${decay}`, () => lfu(decay)])),
  ...Object.fromEntries([0.05, 0.1, 0.2].map((weight) => [`router mean, weight ${weight}`, () => routerMean(weight, (share) => -share)])),
  'next use': nextUse,
}

function lfu(decay) {
  const counts = new Map()
  return {
    see(trace, _, keys, layer) {
      for (let e = 0; e < trace.experts; e++) {
        const key = layer * trace.experts + e
        counts.set(key, (counts.get(key) ?? 0) * decay + (keys.includes(key) ? 1 : 0))
      }
    },
    cost: (key) => -(counts.get(key) ?? 0),
  }
}

function routerMean(weight, cost) {
  const share = new Map()
  return {
    see(trace, step, _, layer) {
      for (const [e, value] of step.layers[layer].shares.entries()) {
        const key = layer * trace.experts + e
        share.set(key, value + ((share.get(key) ?? 1 / 8) - value) * (1 - weight) ** step.tokens)
      }
    },
    cost: (key) => cost(share.get(key) ?? 1 / 8),
  }
}

/** Experts read in the prompt, and per token after it. depth: how many layers are read ahead. */
function simulate(trace, steps, capacity, policy, depth) {
  const memory = new Set()
  let reads = 0
  let prompt = 0
  const fetch = (key, kept) => {
    if (memory.has(key)) return
    reads++
    if (memory.size >= capacity) {
      let worst
      let highest = Number.NEGATIVE_INFINITY
      for (const other of memory) {
        if (kept.has(other)) continue
        const cost = policy.cost(other, trace)
        if (cost > highest) [worst, highest] = [other, cost]
      }
      if (worst === undefined) return
      memory.delete(worst)
    }
    memory.add(key)
  }
  for (const [number, step] of steps.entries()) {
    for (const [layer, { keys, predictions }] of step.layers.entries()) {
      policy.see(trace, step, keys, layer)
      policy.now = number * trace.layers + layer
      const kept = new Set(keys)
      for (const key of keys) fetch(key, kept)
      for (const prediction of predictions.slice(0, depth)) {
        for (const key of prediction) kept.add(key)
        for (const key of prediction) fetch(key, kept)
      }
    }
    if (number === 0) prompt = reads
  }
  return { prompt, perToken: (reads - prompt) / (steps.length - 1) }
}

/** Knows when each expert is used next. */
function belady(trace, steps) {
  const uses = new Map()
  for (const [number, step] of steps.entries()) {
    for (const [layer, { keys }] of step.layers.entries()) {
      for (const key of keys) uses.set(key, [...(uses.get(key) ?? []), number * trace.layers + layer])
    }
  }
  return {
    see() {},
    cost(key) {
      const list = uses.get(key) ?? []
      while (list.length && list[0] <= this.now) list.shift()
      return list[0] ?? Number.MAX_SAFE_INTEGER
    },
  }
}

for (const path of readCommandLine(import.meta.url, {}, [1, Infinity]).positionals) {
  const trace = JSON.parse(readFileSync(path, 'utf8'))
  const steps = stepsOf(trace)
  const all = trace.layers * trace.experts
  const capacities = [0.75, 0.5, 0.25].map((part) => Math.max(trace.used, Math.round(all * part)))
  const print = (name, run) =>
    console.log(
      name.padEnd(28) +
        capacities
          .map((capacity) => {
            const { prompt, perToken } = run(capacity)
            return `${prompt.toFixed(0).padStart(8)} ${perToken.toFixed(2).padStart(8)} ${(100 * (1 - perToken / (trace.layers * trace.used))).toFixed(1).padStart(6)} %`
          })
          .join(''),
    )
  console.log(`${path}: ${trace.layers} x ${trace.experts} experts, ${trace.tokens} tokens`)
  console.log(`${'slots'.padEnd(28)}${capacities.map((c) => String(c).padStart(26)).join('')}`)
  console.log(`${''.padEnd(28)}${capacities.map(() => '  prompt  a token  hit rate').join('')}`)
  for (const [name, policy] of Object.entries(policies)) print(name, (capacity) => simulate(trace, steps, capacity, policy(), 0))
  print('optimum (Belady)', (capacity) => simulate(trace, steps, capacity, belady(trace, steps), 0))
  for (const depth of [1, 2, 3, 4])
    print(`next use, ${depth} ahead`, (capacity) => simulate(trace, steps, capacity, policies['next use'](), depth))
}
