// Runs jobs with injected faults, one process at a time. Owns how many of each, and the report.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { runChild } from './child.mjs'
import { jobs } from './faults/jobs.mjs'

const preload = new URL('faults/inject.mjs', import.meta.url).href
/** Runs in one process. */
const TURN = 100

/**
 * Does each job so many times with faults; all that one fault can do come first. Returns the number of faults.
 * @param {{ runs: number, seed: string, names?: string[], say: (line: string) => void, from?: number }} options
 */
export async function tryFaults({ runs, seed, names = jobs.map(({ name }) => name), say, from = 0 }) {
  let total = 0
  let found = 0
  for (const name of names) {
    const keys = new Set()
    let obeyed = 0
    let singles = 0
    for (let next = from; next < from + runs; ) {
      const { ended, at, reports } = await turn(name, seed, next, Math.min(TURN, from + runs - next))
      for (const report of reports) {
        if (keys.has(report.key)) continue
        keys.add(report.key)
        say(
          `\nFAULT ${name}, to be repeated by --repeat-fault ${name}:${seed}:${report.n}\n${JSON.stringify(report.orders)}\n${report.fault}`,
        )
      }
      obeyed += ended?.obeyed ?? 0
      singles = ended?.singles ?? singles
      next = ended ? next + TURN : at + 1
    }
    total += runs
    found += keys.size
    say(`${name}: ${runs} runs, ${obeyed} disturbed, of ${singles} single faults, ${keys.size} faults`)
  }
  say(`${total} runs with injected faults of ${names.length} jobs, seed ${seed}: ${found} faults`)
  return found
}

async function turn(name, seed, from, count) {
  const folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'hostile-faults-'))
  const reports = []
  let ended
  let at = from
  try {
    const { code, signal, hung, errors } = await runChild('faults/worker.mjs', [name, seed, String(from), String(count)], {
      execArgv: ['--import', preload],
      env: { HOSTILE_FOLDER: path.join(folder, 'work') },
      busy: 120,
      onReport(report) {
        if (report.at !== undefined) at = report.at
        if (report.fault) reports.push(report)
        if (report.end) ended = report.end
      },
    })
    if (!ended) reports.push({ fault: hung ?? `the process ended with ${signal ?? code}: ${errors}`, key: hung ? 'hang' : 'crash', n: at })
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
  return { ended, at, reports }
}

/** Does one run again, `JOB:SEED:N`. */
export function repeatFault(text, say) {
  const [name, seed, n] = text.split(':')
  return tryFaults({ runs: 1, seed, names: [name], say, from: Number(n) })
}

/** The names of all jobs. */
export const jobNames = jobs.map(({ name }) => name)
