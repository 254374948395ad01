// node bench/overlap.mjs TRACE.json [TRACE.json ...] [--read MS] [--expert MS] [--layer MS] [--token MS]
// How much of the reading of experts can be hidden behind computing at all? An ideal machine decodes a trace
// (routing.mjs) with memory for a part of the experts. Its disk always has its full rate and starts reads at once;
// reading and computing do not slow each other down. Only knowledge limits it: a layer's experts are known after its
// router, the next layers' as far as they are predicted. Prints the time per token, and that time over the larger of
// computing and reading, which capacity.mjs prints of the real one.
//   --read    to read an expert (default 28.5)
//   --expert  to compute an expert (2.75)
//   --layer   a layer without its experts, mostly its attention (1.0)
//   --token   the part of a token outside of its layers, mostly the output matrix (3.2)

import { readFileSync } from 'node:fs'
import { readCommandLine } from './commandLine.mjs'
import { nextUse, stepsOf } from './traceSteps.mjs'

const number = (value) => ({ type: 'string', default: String(value) })
const options = { read: number(28.5), expert: number(2.75), layer: number(1), token: number(3.2) }
const { values, positionals } = readCommandLine(import.meta.url, options, [1, Infinity])
const ms = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]))

/**
 * predict: the experts of later layers that a layer prefetches, needed soonest first. careful: a prefetch evicts an
 * expert only while all experts of the current layer are resident, as in the runtime.
 */
const machines = {
  'nothing read ahead': { predict: () => [], careful: true },
  "as the runtime: two layers' routers, in turns with nothing missing": {
    predict: ({ predictions }) => predictions.slice(0, 2).flat(),
    careful: true,
  },
  'the same, and every prediction right': { predict: (_, later) => later.slice(0, 2).flatMap(({ keys }) => keys), careful: true },
  'the same, in every turn': { predict: (_, later) => later.slice(0, 2).flatMap(({ keys }) => keys), careful: false },
  "all of the token's layers known from its first router on": { predict: (_, later) => later.flatMap(({ keys }) => keys), careful: false },
}

/** Milliseconds and experts read per token after the prompt. */
function simulate(trace, steps, capacity, { predict, careful }) {
  const policy = nextUse()
  /** Experts with a slot, and what is still to be read of them. */
  const memory = new Map()
  let wanted = [] // soonest first
  let required = 0 // the first of them, which are the layer's own
  let mayEvict = true
  let milliseconds = 0
  let read = 0

  const assignSlot = (key, rank) => {
    if (memory.size >= capacity) {
      let worst
      let highest = Number.NEGATIVE_INFINITY
      for (const other of memory.keys()) {
        const place = wanted.indexOf(other)
        if (place >= 0 && place < rank) continue
        const cost = place >= 0 ? -1e6 + place : memory.get(other) ? Number.MAX_VALUE : policy.cost(other, trace)
        if (cost > highest) [worst, highest] = [other, cost]
      }
      if (worst === undefined || (rank >= required && !mayEvict && highest < Number.MAX_VALUE)) return false
      memory.delete(worst)
    }
    memory.set(key, ms.read)
    return true
  }
  /** So much time passes: what the disk does in it. */
  const pass = (time) => {
    milliseconds += time
    for (const [rank, key] of wanted.entries()) {
      if (time <= 0) return
      if (!memory.has(key) && !assignSlot(key, rank)) continue
      const part = Math.min(time, memory.get(key))
      memory.set(key, memory.get(key) - part)
      time -= part
      read += part / ms.read
    }
  }
  for (const [n, step] of steps.entries()) {
    if (n === 1) [milliseconds, read] = [0, 0]
    for (const [layer, turn] of step.layers.entries()) {
      pass(ms.layer)
      policy.see(trace, step, turn.keys, layer)
      wanted = [...turn.keys, ...predict(turn, step.layers.slice(layer + 1)).filter((key) => !turn.keys.includes(key))].slice(
        0,
        Math.max(capacity, turn.keys.length),
      )
      required = turn.keys.length
      const missing = turn.keys.reduce((sum, key) => sum + (memory.get(key) ?? ms.read), 0)
      mayEvict = !careful || missing === 0 || step.tokens > 1
      pass(Math.max(missing, turn.keys.length * ms.expert))
    }
    // no layer is left to predict from: what is left to prefetch was predicted for this token
    pass(ms.token)
  }
  return { time: milliseconds / (steps.length - 1), reads: read / (steps.length - 1) }
}

for (const path of positionals) {
  const trace = JSON.parse(readFileSync(path, 'utf8'))
  const steps = stepsOf(trace)
  const compute = ms.token + trace.layers * (ms.layer + trace.used * ms.expert)
  const all = trace.layers * trace.experts
  const capacities = [0.75, 0.5, 0.25].map((part) => Math.round(all * part))
  console.log(`${path}: computing takes ${compute.toFixed(1)} ms a token`)
  console.log(`experts in memory, of ${all}`.padEnd(66) + capacities.map((count) => String(count).padStart(20)).join(''))
  for (const [name, machine] of Object.entries(machines)) {
    const columns = capacities.map((capacity) => {
      const { time, reads } = simulate(trace, steps, capacity, machine)
      return `${time.toFixed(0)} ms (${(time / Math.max(compute, reads * ms.read)).toFixed(2)})`.padStart(20)
    })
    console.log(name.padEnd(66) + columns.join(''))
  }
}
