// Searches for the inputs that cost most: of each kind inputs are blown up, measured in a process of their own, and the
// most expensive is changed again and again. Owns the bounds and the search; pumps.mjs makes the inputs.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { runChild } from './child.mjs'
import { pumpFile, pumpHeader, pumpJson, pumpPieces, pumpText } from './pumps.mjs'
import { Random } from './random.mjs'
import { seedsOfPumps } from './worstBases.mjs'

/** What an input of n bytes may take. */
const MOST_SECONDS = 1
const MOST_MEMORY = (bytes) => 200 * 2 ** 20 + 20 * bytes
/** What a signal may wait for: templates and constraints have a budget of a second in one piece. */
const MOST_BLOCKED = 0.2
const budgeted = new Set(['jinja', 'go', 'schemas', 'grammars', 'patterns'])
/** Each call has its budget, and an input many calls: what counts is the longest one. */
const ofCalls = new Set(['schemas', 'grammars', 'patterns'])
const MOST_WAYS = 4
/** A search begins with inputs of this part of its bytes, and doubles them again and again. */
const FIRST_PART = 1 / 16
/** Bytes of kinds of which more are refused unread: a search beyond them would find nothing. */
const mostBytes = {
  jinja: 95_000,
  go: 95_000,
  names: 1000,
  patterns: 20_000,
  records: 60_000,
  manifests: 900_000,
  'service-records': 900_000,
}

const makers = { header: pumpHeader, file: pumpFile, json: pumpJson, text: pumpText, pieces: pumpPieces }

/** The input of a kind that numbers choose: the base, and ways to blow it up. */
function inputOf(name, [which, ...ways], bytes) {
  const { kind, base, wrap = (pumped) => pumped } = seedsOfPumps[name][which % seedsOfPumps[name].length]
  return wrap(makers[kind](base, ways, bytes))
}

async function measured(name, input) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hostile-worst-'))
  const file = path.join(folder, 'input')
  fs.writeFileSync(file, input)
  let report
  const outcome = await runChild('measure.mjs', [name, file], {
    busy: 60,
    onReport(message) {
      report = message
    },
  })
  fs.rmSync(folder, { recursive: true })
  return (
    report ?? {
      seconds: 60,
      memory: 0,
      blocked: 60,
      fault: outcome.hung ?? `ended with ${outcome.signal ?? outcome.code}: ${outcome.errors}`,
    }
  )
}

/** How near an input is to its bounds: above 1 is beyond one of them. */
function costOf(name, { seconds, memory, blocked, fault }, bytes) {
  const waiting = blocked / (budgeted.has(name) ? MOST_SECONDS : MOST_BLOCKED)
  const time = ofCalls.has(name) ? 0 : seconds / MOST_SECONDS
  return fault ? 100 : Math.max(time, memory / MOST_MEMORY(bytes), waiting)
}

function changed(random, genes) {
  const next = [...genes]
  const at = random.below(next.length)
  if (random.chance(0.3) && next.length <= MOST_WAYS) next.push(random.bits())
  else if (random.chance(0.2) && next.length > 2) next.splice(1 + random.below(next.length - 1), 1)
  else next[at] = random.bits()
  return next
}

/** The most expensive input that was found in so many steps: its cost, genes and measures. */
async function search(name, { seed, steps, bytes }) {
  const random = new Random(`${name} ${seed}`)
  const growths = Math.log2(1 / FIRST_PART)
  const sizeOf = (step) => Math.ceil(bytes * FIRST_PART * 2 ** Math.min(growths, Math.floor(((growths + 1) * step) / steps)))
  const attempt = async (genes, size) => {
    let input
    try {
      input = inputOf(name, genes, size)
    } catch {
      return undefined // no such input can be made
    }
    const found = await measured(name, input)
    return { cost: costOf(name, found, input.length), genes, found, bytes: input.length, size }
  }
  let best
  let stale = 0
  for (let step = 0; step < steps; step++) {
    const size = sizeOf(step)
    const grows = best && size > best.size && best.cost <= 1
    // A fresh start where nothing gets worse any more.
    const genes = grows ? best.genes : best && stale < 12 ? changed(random, best.genes) : [random.bits(), random.bits()]
    const next = await attempt(genes, size)
    stale++
    if (!next || (best && next.cost <= best.cost && !grows)) continue
    best = next
    stale = 0
  }
  return best
}

/** Searches all kinds. Returns how many have inputs beyond a bound. */
export async function searchWorst({ seed, steps, bytes, names = Object.keys(seedsOfPumps), keep, say }) {
  let beyond = 0
  for (const name of names) {
    const best = await search(name, { seed, steps, bytes: Math.min(bytes, mostBytes[name] ?? bytes) })
    if (!best) continue
    const { cost, genes, found, bytes: size } = best
    const { seconds, memory, blocked, fault } = found
    if (cost > 1) beyond++
    const numbers = `${seconds.toFixed(2)} s, ${Math.round(memory / 2 ** 20)} MiB, ${Math.round(blocked * 1000)} ms at once`
    say(`${cost > 1 ? 'BEYOND ' : ''}${name}: ${size} bytes, ${numbers} ${JSON.stringify(genes)}${fault ? ` ${fault.slice(0, 400)}` : ''}`)
    if (keep) fs.writeFileSync(path.join(keep, `${name}.worst`), inputOf(name, genes, best.size))
  }
  say(`the worst of ${steps} inputs of about ${bytes} bytes of each of ${names.length} kinds, seed ${seed}: ${beyond} beyond a bound`)
  return beyond
}
