// Tries damaged inputs of all kinds, one process at a time. Owns whose turn it is, and what becomes of a fault: its
// input is made small, and kept where asked.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runChild } from './child.mjs'
import { kinds } from './kinds.mjs'
import { Random } from './random.mjs'

const casesFolder = fileURLToPath(new URL('cases', import.meta.url))
/** Inputs of a kind with share 1 in one process. */
const TURN = 500
/** The same in the first round of a run that a clock ends: a minute must reach every kind. */
const FIRST_TURN = 4
/** By what turns grow from round to round, up to the full ones. */
const GROWTH = 5

/**
 * Tries inputs until the minutes are over, or so many of a kind with share 1 were tried. Returns the number of faults.
 * @param {{ seed: string, minutes?: number, inputs?: number, names?: string[], keep?: boolean,
 *   say: (line: string) => void }} options
 */
export async function tryInputs({ seed, minutes = Infinity, inputs = Infinity, names = [...kinds.keys()], keep = false, say }) {
  let end = performance.now() + minutes * 60_000
  process.once('SIGTERM', () => {
    end = 0 // what was tried so far is told
  })
  const chosen = names.map((name) => ({ name, kind: kinds.get(name), next: 0, taken: 0, slowest: 0, memory: 0, faults: new Map() }))
  let size = minutes === Infinity ? TURN : FIRST_TURN
  for (let done = 0; done < inputs && performance.now() < end; done += size, size = Math.min(GROWTH * size, TURN)) {
    for (const state of chosen) {
      if (performance.now() >= end) break
      const count = Math.max(1, Math.round(state.kind.share * Math.min(size, inputs - done)))
      await turn(state, seed, count, { keep, say })
    }
  }
  for (const state of chosen) {
    const { name, next, taken, slowest, memory, faults } = state
    say(
      `${name}: ${next} inputs, ${taken} taken, slowest ${slowest.toFixed(2)} s, ${Math.round(memory / 2 ** 20)} MiB, ${faults.size} faults`,
    )
  }
  const total = chosen.reduce((sum, { next }) => sum + next, 0)
  const faults = chosen.reduce((sum, state) => sum + state.faults.size, 0)
  const missed = chosen.flatMap(({ name, next }) => (next === 0 ? [name] : []))
  if (missed.length > 0) say(`no time for ${missed.length} kinds: ${missed.join(', ')}`)
  say(`${total} damaged inputs of ${chosen.length - missed.length} kinds, seed ${seed}: ${faults} faults`)
  return faults
}

/** A process's worth of inputs; after a crash or a hang, another process goes on behind the input. */
async function turn(state, seed, count, options) {
  const last = state.next + count
  while (state.next < last) {
    let at = state.next
    let ended = false
    const faults = []
    const outcome = await runChild('mutants.mjs', [state.name, seed, String(state.next), String(last - state.next)], {
      onReport(report) {
        if (report.at !== undefined) at = report.at
        if (report.fault) faults.push(report)
        if (report.end) {
          ended = true
          state.taken += report.end.taken
          state.slowest = Math.max(state.slowest, report.end.slowest)
          state.memory = Math.max(state.memory, report.end.memory)
        }
      },
    })
    state.next = ended ? last : at + 1
    if (!ended) faults.push({ ...crash(outcome), n: at, input: await inputOf(state, seed, at) })
    for (const fault of faults) await report(state, seed, fault, options)
  }
}

const crash = ({ hung, code, signal, errors }) => {
  const fault = hung ?? `the process ended with ${signal ?? code}: ${errors}`
  return { fault, key: hung ? 'hang' : 'crash', ends: true }
}

async function inputOf({ name, kind }, seed, n) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hostile-'))
  try {
    return Buffer.from(await kind.make(new Random(`${name} ${seed} ${n}`), folder)).toString('base64')
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

async function report(state, seed, { fault, key, n, of = 1, input, ends }, { keep, say }) {
  if (state.faults.has(key)) return
  state.faults.set(key, n)
  say(`\nFAULT ${state.name}, to be repeated by --repeat ${state.name}:${seed}:${n}${of > 1 ? `+${of}` : ''}\n${fault}`)
  if (input === undefined) return
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hostile-'))
  const file = path.join(folder, 'input')
  fs.writeFileSync(file, Buffer.from(input, 'base64'))
  if (!ends) await runChild('mutants.mjs', [state.name, '--smaller', file, key])
  const smallest = fs.readFileSync(file)
  say(
    `of ${Buffer.from(input, 'base64').length} bytes, ${smallest.length} are enough: ${JSON.stringify(smallest.toString('latin1').slice(0, 600))}`,
  )
  if (keep) {
    const target = path.join(casesFolder, `${state.name}.${seed}-${n}.bin`)
    fs.copyFileSync(file, target)
    say(`kept as ${target}`)
  }
  fs.rmSync(folder, { recursive: true, force: true })
}

/**
 * Tries one input again, `KIND:SEED:N`, or several in one process, `KIND:SEED:N+COUNT`. Returns the number of faults.
 */
export async function repeatInput(text, say) {
  const [, name, seed, n, count = '1'] = /^([^:]+):([^:]+):(\d+)(?:\+(\d+))?$/.exec(text) ?? []
  if (name === undefined) throw new Error(`--repeat is ${text}, expected KIND:SEED:N or KIND:SEED:N+COUNT, as a fault names it`)
  const state = { name, kind: kinds.get(name), next: Number(n), taken: 0, slowest: 0, memory: 0, faults: new Map() }
  if (!state.kind) throw new Error(`no kind ${name}, expected one of ${[...kinds.keys()].join(', ')}`)
  await turn(state, seed, Number(count), { keep: false, say })
  say(`${state.faults.size} faults`)
  return state.faults.size
}
