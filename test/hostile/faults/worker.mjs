// A process that does a job again and again with faults injected, and looks at what is there afterwards:
//
//   worker.mjs JOB SEED FROM COUNT
//
// The first runs fail each operation in turn, in each way; those after them two operations of the seed's choice. Tells
// its parent of each fault. Owns what must hold after a run.

import { fork } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Random } from '../random.mjs'
import { faultOf, keyOf, openFiles, threads } from '../watch.mjs'
import { modes, order, recall } from './inject.mjs'
import { hashOf, jobs, startServer } from './jobs.mjs'

const [name, seed, from, count] = process.argv.slice(2)
const job = jobs.find((each) => each.name === name)
const folder = process.env.HOSTILE_FOLDER
const server = await startServer()
process.env.HOSTILE_SERVER = `http://127.0.0.1:${server.address().port}`

let unhandled
for (const event of ['unhandledRejection', 'uncaughtException']) {
  process.on(event, (error) => {
    unhandled ??= `${event}: ${error?.stack ?? String(error)}`
  })
}

async function prepare() {
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder, { recursive: true })
  await job.prepare(folder)
}

/** Does the job; returns its result as a text, or the error. */
async function attempt() {
  try {
    const result = await job.run(folder)
    recallNow()
    return { result: result.files ? result.files.map((file) => `${file} ${hashOf(fs.readFileSync(file))}`).join() : result }
  } catch (error) {
    recallNow()
    return { error }
  }
}

let last
const recallNow = () => {
  last = recall()
}

/** The hashes of all files by their names. */
function listing() {
  const names = fs.readdirSync(folder, { recursive: true }).map(String).sort()
  const isFile = (file) => fs.statSync(path.join(folder, file)).isFile()
  return new Map(names.filter(isFile).map((file) => [file, hashOf(fs.readFileSync(path.join(folder, file)))]))
}

await prepare()
const inputs = listing()
order([])
const { result: expected, error: early } = await attempt()
if (early) throw early
const after = listing()
const singles = shuffled(
  Object.entries(last.counts).flatMap(([operation, times]) =>
    Array.from({ length: times }, (_, n) => modes.map((mode) => [{ operation, index: n + 1, mode }])).flat(),
  ),
)

/** In an order that is the same each time, so that the first few are of all kinds. */
function shuffled(list) {
  const random = new Random(name)
  for (let n = list.length - 1; n > 0; n--) {
    const other = random.below(n + 1)
    ;[list[n], list[other]] = [list[other], list[n]]
  }
  return list
}

function ordersOf(n) {
  if (n < singles.length) return singles[n]
  const random = new Random(`${name} ${seed} ${n}`)
  return [random.pick(singles)[0], random.pick(singles)[0]]
}

const isKill = (orders) => orders.some(({ mode }) => mode.startsWith('kill'))

async function disturbedRun(orders) {
  if (isKill(orders)) return killedRun(orders)
  order(orders)
  return attempt()
}

/** The same in a process of its own, which may be killed. */
function killedRun(orders) {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(new URL('once.mjs', import.meta.url)), [name, JSON.stringify(orders)], { stdio: 'ignore' })
    let fault
    child.on('message', (message) => {
      fault = message
    })
    child.on('close', () => resolve({ killed: true, fault }))
  })
}

/** What is wrong after a run, undefined if nothing is. */
function problemOf(orders, { result, error, fault, killed }) {
  if (fault) return fault
  if (unhandled) return unhandled
  if (error && faultOf(error)) return faultOf(error)
  if (!error && !killed && result !== expected) return `another result: ${result}, expected ${expected}`
  const mayLeave = killed || orders.some(({ operation }) => operation === 'remove' || operation === 'stat')
  for (const [file, hash] of listing()) {
    if (hash === after.get(file) || hash === inputs.get(file)) continue
    if (job.partials?.test(file)) continue
    if (mayLeave && /\.draft\.\d+\.[0-9a-f]+$/.test(file)) continue
    return after.has(file) ? `${file} is neither right nor absent` : `${file} is left behind`
  }
  for (const file of inputs.keys()) {
    if (!fs.existsSync(path.join(folder, file)) && after.has(file)) return `${file} is lost`
  }
  return undefined
}

/** What is wrong with the next undisturbed run. */
function problemOfNext(orders, { result, error }) {
  if (error) return `the next run fails: ${error.stack}`
  if (result !== expected) return `the next run has another result: ${result}, expected ${expected}`
  const left = [...listing()].filter(([file, hash]) => after.get(file) !== hash).map(([file]) => file)
  // A draft that a living process could not delete is deleted when it exits.
  const own = orders.some(({ operation }) => operation === 'remove' || operation === 'stat') && !isKill(orders)
  const wrong = left.filter((file) => !(own && file.includes(`.draft.${process.pid}.`)))
  return wrong.length > 0 ? `left behind after the next run: ${wrong.join(', ')}` : undefined
}

let obeyed = 0
let before
for (let n = Number(from); n < Number(from) + Number(count); n++) {
  const orders = ordersOf(n)
  process.send({ at: n, orders })
  await prepare()
  unhandled = undefined
  const outcome = await disturbedRun(orders)
  obeyed += isKill(orders) ? 1 : last.obeyed > 0 ? 1 : 0
  let problem = problemOf(orders, outcome)
  if (!problem) {
    await job.again?.(folder)
    order([])
    problem = problemOfNext(orders, await attempt())
  }
  if (problem) process.send({ fault: problem, key: keyOf(problem), n, orders })
  if (n === Number(from) + 10) before = { files: openFiles(), threads: threads() }
}
await new Promise((resolve) => setTimeout(resolve, 300))
if (before && openFiles() > before.files + 3) report(`${openFiles() - before.files} open files are left behind`)
if (before && threads() > before.threads + 1) report(`${threads() - before.threads} threads are left behind`)
process.send({ end: { obeyed, singles: singles.length } })
process.exit()

function report(problem) {
  process.send({ fault: problem, key: problem.replaceAll(/\d+/g, '#'), n: Number(from), orders: [] })
}
