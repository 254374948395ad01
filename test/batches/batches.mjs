// The same batch in many ways: by one process, by three, through Redis and PostgreSQL, with processes killed and
// paused, a server stopped, a disk full. All must end with the same bytes, which `batch verify` must find right, and
// altered ones wrong. `npm run test:batches`, or with --help.

import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import { demoFile, ended, mixtral, start, untilEnded } from './processes.mjs'
import { writeRequests } from './requests.mjs'
import { findPostgres, findRedis, startPostgres, startRedis } from './servers.mjs'

const run = promisify(execFile)
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '2000' },
    kill: { type: 'string', default: '3' },
    stop: { type: 'string', default: '30' },
    lock: { type: 'string', default: '5' },
    only: { type: 'string' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  console.log('--requests N, --kill SECONDS between kills, --stop SECONDS of the server, --lock SECONDS of a worker, --only PART of a name')
  process.exit(0)
}
/** A process that is killed before it has begun would never do anything: on a busy machine, kills are rarer. */
let killMs = Number(values.kill) * 1000
const stopMs = Number(values.stop) * 1000
const folder = mkdtempSync(path.join(tmpdir(), 'mixtral-batches-'))
const file = (name) => path.join(folder, name)
const input = file('in.jsonl')
writeRequests(input, Number(values.requests))

let failed = 0
let reference

/** Runs a way, and compares what it gives with what one process gave. */
async function way(name, work) {
  if (values.only && reference && !name.includes(values.only)) return
  const output = file(`${name.replaceAll(/\W+/g, '-')}.jsonl`)
  const begun = performance.now()
  try {
    const note = (await work(output)) ?? ''
    const bytes = [output, output.replace('.jsonl', '.errors.jsonl')].map((one) => readFileSync(one, 'utf8')).join('')
    reference ??= bytes
    if (bytes !== reference) throw new Error('other bytes than by one process')
    report('ok', name, note, begun)
  } catch (error) {
    failed++
    report('FAILED', name, error.stack, begun)
  }
}

function report(verdict, name, note, begun) {
  console.log(`${verdict}: ${name}, ${((performance.now() - begun) / 1000).toFixed(1)} s${note ? `, ${note}` : ''}`)
}

const merge = (output, ...from) => mixtral('batch', 'merge', input, output, ...from)

/** Starts processes again and again while they are killed every so often, until one of them ends by itself. */
async function whileKilled(args, { count = 1, atKill = () => {} } = {}) {
  let kills = 0
  const begin = () => start(args)
  const running = Array.from({ length: count }, begin)
  let done = false
  const killing = (async () => {
    for (;;) {
      await sleep(killMs)
      if (done) return
      const victim = kills % count
      if (running[victim].exitCode !== null) continue
      running[victim].kill('SIGKILL')
      await untilEnded(running[victim])
      kills++
      atKill()
      if (!done) running[victim] = begin()
    }
  })()
  while (!running.every((child) => child.exitCode !== null)) await sleep(50)
  done = true
  await killing
  const codes = await Promise.all(running.map(ended))
  const wrong = codes.find(({ code }) => code !== 0)
  if (wrong) throw new Error(wrong.stderr)
  return `${kills} kills, one every ${(killMs / 1000).toFixed(1)} s`
}

const command = ['batch', input]

await way('one process', async (output) => {
  const { stdout } = await mixtral(...command, file('one-raw.jsonl'), '--json')
  await merge(output, file('one-raw.jsonl'))
  const { requests, tokens_per_second: rate } = JSON.parse(stdout)
  const begun = performance.now()
  await mixtral(...command, file('one-raw.jsonl'))
  killMs = Math.max(killMs, 2 * (performance.now() - begun))
  return `${requests} requests, ${Math.round(rate)} tokens/s`
})

await way('one process, killed and torn', async (output) => {
  const raw = file('killed-raw.jsonl')
  // the half of a line, as a power cut leaves it
  const tear = () => existsSync(raw) && writeFileSync(raw, '{"id":"batch_req_1","custom', { flag: 'a' })
  const note = await whileKilled([...command, raw], { atKill: tear })
  await merge(output, raw)
  return note
})

await way('three shards', async (output) => {
  const parts = [1, 2, 3].map((i) => file(`part${i}.jsonl`))
  for (const [i, part] of parts.entries()) await mixtral(...command, part, '--shard', `${i + 1}/3`)
  await merge(output, ...parts)
})

await way('three on a folder', async (output) => {
  await Promise.all([1, 2, 3].map(() => mixtral(...command, file('shared/'))))
  await merge(output, file('shared/'))
})

await way('three on a folder, killed', async (output) => {
  const note = await whileKilled([...command, file('shared-killed/')], { count: 3 })
  await merge(output, file('shared-killed/'))
  return note
})

await way('full disk', async (output) => {
  const disk = file('disk')
  mkdirSync(disk)
  const size = Math.max(64, Math.floor(statSync(file('one-raw.jsonl')).size / 4096)) // KiB: a quarter
  await run('mount', ['-t', 'tmpfs', '-o', `size=${size}k`, 'tmpfs', disk]).catch((error) => {
    throw new Error(`a small disk cannot be mounted, which needs root: ${error.message}`)
  })
  try {
    const raw = path.join(disk, 'raw.jsonl')
    const { code, stderr } = await ended(start([...command, raw]))
    if (code !== 1 || !/raw\.jsonl|no space/i.test(stderr)) throw new Error(`exit code ${code} on a full disk: ${stderr}`)
    if (!readFileSync(raw, 'utf8').endsWith('\n')) throw new Error('a torn line was left')
    await run('mount', ['-o', 'remount,size=1g', disk])
    await mixtral(...command, raw)
    await merge(output, raw)
  } finally {
    await run('umount', ['-l', disk])
  }
})

/** Three workers on a queue; `meanwhile` does harm to them or to the server. */
async function throughQueue(queue, output, meanwhile) {
  const { stdout } = await mixtral('batch', 'submit', input, '--queue', queue)
  const worker = ['batch', 'work', stdout.trim(), '--queue', queue, '--lock', values.lock]
  const note = await meanwhile(worker)
  await mixtral('batch', 'collect', input, output, '--queue', queue, '--remove')
  return note
}

async function threeWorkers(worker, meanwhile = async () => '') {
  const workers = [1, 2, 3].map(() => start(worker))
  const note = await meanwhile(workers)
  for (const { code, stderr } of await Promise.all(workers.map(ended))) if (code !== 0) throw new Error(stderr)
  return note
}

/** All have found the batch, and have begun. */
async function untilAtWork(workers) {
  while (!workers.every((one) => one.said.stderr.includes('working on') || one.exitCode !== null)) await sleep(20)
  await sleep(1000)
}

async function pauseOne(workers) {
  await untilAtWork(workers)
  const [worker] = workers
  worker.kill('SIGSTOP')
  await sleep(Number(values.lock) * 3000)
  worker.kill('SIGCONT')
  return `paused for ${Number(values.lock) * 3} s`
}

for (const { name, find, begin } of [
  { name: 'Redis', find: findRedis, begin: startRedis },
  { name: 'PostgreSQL', find: findPostgres, begin: startPostgres },
]) {
  if (!find()) {
    console.log(`SKIPPED: ${name}, which is not installed`)
    if (process.env.CI) failed++
    continue
  }
  const server = await begin(file(name.toLowerCase()))
  try {
    await way(`three workers on ${name}`, (output) => throughQueue(server.address, output, (worker) => threeWorkers(worker)))
    await way(`three workers on ${name}, killed`, (output) =>
      throughQueue(server.address, output, (worker) => whileKilled(worker, { count: 3 })),
    )
    await way(`three workers on ${name}, one paused`, (output) =>
      throughQueue(server.address, output, (worker) => threeWorkers(worker, pauseOne)),
    )
    await way(`three workers on ${name}, which is stopped`, (output) =>
      throughQueue(server.address, output, (worker) =>
        threeWorkers(worker, async (workers) => {
          await untilAtWork(workers)
          await server.stop()
          await sleep(stopMs)
          await server.start()
          return `for ${stopMs / 1000} s`
        }),
      ),
    )
  } finally {
    await server.stop()
  }
}

/** Lets `batch verify` look at altered results, and compares what it says. */
async function verified(name, results, expected, more = []) {
  const begun = performance.now()
  const { code, stdout, stderr } = await ended(start(['batch', 'verify', results, '--input', input, ...more]))
  const isRight = expected === undefined ? code === 0 : code === 1 && expected.test(stderr)
  if (!isRight) failed++
  report(isRight ? 'ok' : 'FAILED', name, (stdout + stderr).trim().slice(0, 200), begun)
}

if (!values.only || 'verify'.includes(values.only)) {
  const results = file('one-process.jsonl')
  await verified('verify: honest results', results)
  await verified('verify: honest errors', file('one-process.errors.jsonl'))
  await verified('verify: a sample', results, undefined, ['--sample', '1%'])
  const lines = readFileSync(results, 'utf8').split('\n')
  const at = lines.findIndex((line, i) => i > lines.length / 2 && line.includes('"tokens":[['))
  const altered = (change) => {
    const copy = [...lines]
    copy[at] = change(copy[at])
    writeFileSync(file('altered.jsonl'), copy.join('\n'))
    return file('altered.jsonl')
  }
  const named = new RegExp(`altered\\.jsonl:${at + 1}:`)
  await verified(
    'verify: one token altered',
    altered((line) => line.replace(/"tokens":\[\[(\d+)/, (_, id) => `"tokens":[[${Number(id) + 1}`)),
    named,
  )
  await verified(
    'verify: one seed altered',
    altered((line) => line.replace(/"seed":(\d+)/, (_, seed) => `"seed":${Number(seed) + 1}`)),
    named,
  )
  await verified(
    'verify: one letter altered',
    altered((line) => line.replace(/("content":|"text":)"(.)/, '$1"#')),
    named,
  )
  const damaged = file('damaged.gguf')
  copyFileSync(demoFile, damaged)
  const bytes = readFileSync(damaged)
  bytes[bytes.length - 100_000] ^= 1
  writeFileSync(damaged, bytes)
  await verified('verify: one byte of the model altered', results, /one-process\.jsonl:1:/, ['--model', damaged])
}

rmSync(folder, { recursive: true })
console.log(failed === 0 ? 'all the same' : `${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
