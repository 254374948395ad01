// A process that tries damaged inputs of one kind, and tells its parent of each fault:
//
//   mutants.mjs KIND SEED FROM COUNT    the inputs of a seed, from a number on
//   mutants.mjs KIND --file FILE        one input
//   mutants.mjs KIND --smaller FILE KEY the smallest input that has the fault of this key, into FILE
//
// Owns what is watched: foreign errors, rejections that nobody handles, time, and what is left behind.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { kinds } from './kinds.mjs'
import { Random } from './random.mjs'
import { shrink } from './shrink.mjs'
import { bytesInUse, faultOf, keyOf, mostMemory, openFiles, processorSeconds, threads } from './watch.mjs'

/** Seconds of the processor for one input; a slow machine gets more by the environment. */
const MOST_SECONDS = Number(process.env.HOSTILE_SECONDS ?? 1)
/** Inputs after which whatever is made once is there. */
const WARM = 30
const LEFT_BYTES = 32 * 2 ** 20

const [name, ...rest] = process.argv.slice(2)
const kind = kinds.get(name)
const folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'hostile-'))
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
const tell = (message) => process.send?.(message)

/** Of what nobody handled since the last input. */
let unhandled
for (const event of ['unhandledRejection', 'uncaughtException']) {
  process.on(event, (error) => {
    unhandled ??= `${event}: ${error?.stack ?? String(error)}`
  })
}

/** The fault of an input, undefined if there is none; and the seconds that it took. */
async function attempt(input) {
  unhandled = undefined
  const began = processorSeconds()
  let fault
  let taken = false
  try {
    await kind.use(input, folder)
    taken = true
  } catch (error) {
    fault = faultOf(error)
  }
  const seconds = processorSeconds() - began
  await new Promise((resolve) => setImmediate(resolve)) // rejections are told by then
  return { fault: unhandled ?? fault, seconds, taken }
}

/** The same; an input is slow if it is so each of three times. */
async function judged(input) {
  let verdict = await attempt(input)
  for (let n = 0; n < 2 && verdict.seconds > MOST_SECONDS && !verdict.fault; n++) {
    const again = await attempt(input)
    if (again.seconds < verdict.seconds) verdict = again
  }
  const { fault, seconds } = verdict
  return seconds > MOST_SECONDS && !fault ? { ...verdict, fault: `slow: ${seconds.toFixed(2)} s of the processor` } : verdict
}

async function run(seed, from, count) {
  let taken = 0
  let slowest = 0
  let before
  for (let n = from; n < from + count; n++) {
    const input = Uint8Array.from(await kind.make(new Random(`${name} ${seed} ${n}`), folder))
    tell({ at: n })
    const verdict = await judged(input)
    if (verdict.taken) taken++
    slowest = Math.max(slowest, verdict.seconds)
    if (verdict.fault) tell({ fault: verdict.fault, key: keyOf(verdict.fault), n, input: Buffer.from(input).toString('base64') })
    if (n - from === Math.min(WARM, count >> 1)) before = { bytes: bytesInUse(), files: openFiles(), threads: threads() }
  }
  await new Promise((resolve) => setTimeout(resolve, 50)) // closing takes its turns
  for (const problem of leftBehind(before)) tell({ fault: problem, key: problem.replaceAll(/\d+/g, '#'), n: from, of: count })
  await kind.close?.()
  tell({ end: { taken, slowest, memory: mostMemory() } })
}

function* leftBehind(before) {
  if (!before) return
  const [bytes, files, tasks] = [bytesInUse() - before.bytes, openFiles(), threads()]
  if (bytes > LEFT_BYTES && globalThis.gc) yield `${Math.round(bytes / 2 ** 20)} MiB are left behind`
  if (files > before.files + 1) yield `${files - before.files} open files are left behind`
  if (tasks > before.threads) yield `${tasks - before.threads} threads are left behind`
}

if (rest[0] === '--file') {
  const { fault } = await judged(new Uint8Array(fs.readFileSync(rest[1])))
  await kind.close?.()
  if (fault) tell({ fault, key: keyOf(fault), n: 0 })
  tell({ end: {} })
} else if (rest[0] === '--smaller') {
  const [, file, key] = rest
  const hasFault = async (input) => {
    const { fault } = await judged(input)
    return fault !== undefined && keyOf(fault) === key
  }
  fs.writeFileSync(file, await shrink(new Uint8Array(fs.readFileSync(file)), hasFault, { seconds: 20 }))
  await kind.close?.()
  tell({ end: {} })
} else await run(rest[0], Number(rest[1]), Number(rest[2]))
// The last report is on its way when the channel is closed.
process.send?.({}, () => process.disconnect())
