// node bench/cluster.mjs [--tables policies,scale] [--workers 1000] [--seed 1] [--minutes 60] [--speed 1] [--json]
//
// Measures nothing: simulates many `mixtral serve` processes behind a balancer, and batches on machines that fail, from
// what one machine was measured to take for a step by its rows (bench/cluster/stepTimes.mjs says which figures). With
// 32 layers, every layer takes what one of the four measured ones takes; with a speed, so many times as fast.
//
//   policies   round robin, least loaded, a consistent hash (affinity), and one with bounded load, by turns a minute
//   scale      the same users on each worker, up to 10,000 workers
//   failures   workers that fail: streams that break, are written again, or would be read again
//   batch      chunks and locks: the work that a failure loses
//   check      one worker by the simulation, and by the runtime's own Scheduler, step by step
//
// All tables without --tables; --layers 4 for the file that was measured. The tables of docs/scaling.md are its output
// without options; the same seed gives the same. test/bench/cluster.test.ts compares it with closed forms of queues,
// and with the Scheduler.

import { simulateBatch } from './cluster/batch.mjs'
import { POLICIES } from './cluster/dispatch.mjs'
import { byScheduler, byWorker, conversationsOf } from './cluster/replay.mjs'
import { CHATS, simulate } from './cluster/simulate.mjs'
import { StepTimes } from './cluster/stepTimes.mjs'
import { readCommandLine } from './commandLine.mjs'

const TABLES = { policies, scale, failures, batch, check }

const { values, refuse } = readCommandLine(import.meta.url, {
  tables: { type: 'string', default: Object.keys(TABLES).join(',') },
  workers: { type: 'string', default: '1000' },
  seed: { type: 'string', default: '1' },
  minutes: { type: 'string', default: '60' },
  layers: { type: 'string', default: '32' },
  speed: { type: 'string', default: '1' },
  json: { type: 'boolean', default: false },
})
const wanted = values.tables.split(',')
const unknown = wanted.find((name) => !(name in TABLES))
if (unknown !== undefined) refuse(`found the table ${unknown}, expected some of ${Object.keys(TABLES).join(', ')}`)
const [workers, seed, minutes, layers] = ['workers', 'seed', 'minutes', 'layers'].map((name) => {
  const value = Number(values[name])
  if (!Number.isInteger(value) || value < 1) refuse(`--${name} is ${values[name]}, expected a whole number from 1 on`)
  return value
})
const speed = Number(values.speed)
if (!(speed > 0)) refuse(`--speed is ${values.speed}, expected a number above 0`)
const times = StepTimes.ofLayers(layers, speed)
const common = { times, seed, workers, seconds: minutes * 60 }

const all = {}
for (const name of wanted) {
  const rows = TABLES[name]()
  all[name] = rows
  if (!values.json) console.log(`${markdown(rows)}\n`)
}
if (values.json) console.log(JSON.stringify(all))

function policies() {
  return [0.5, 1, 1.5].flatMap((turnsPerMinute) =>
    Object.keys(POLICIES).map((policy) => {
      const found = simulate({ ...common, policy, turnsPerMinute })
      return { 'turns a minute': `${turnsPerMinute}`, policy, ...figures(found, workers) }
    }),
  )
}

function scale() {
  return [16, 100, 1000, 10_000].flatMap((workers) =>
    ['least loaded', 'affinity'].map((policy) => {
      const found = simulate({ ...common, workers, policy, turnsPerMinute: 1 })
      return { workers, policy, ...figures(found, workers), 'tokens a second': Math.round(found.tokensPerSecond) }
    }),
  )
}

function figures({ tokensPerSecond, busyShare, cachedShare, firstToken, whole }, workers) {
  return {
    'tokens a second and worker': tokensPerSecond / workers,
    busy: percent(busyShare),
    'of prompts cached': percent(cachedShare),
    'first token: median': seconds(firstToken.p50),
    '99 %': seconds(firstToken.p99),
    'whole answer: 99 %': seconds(whole.p99),
  }
}

function failures() {
  return [
    [24, '24 h'],
    [1, '1 h'],
  ].flatMap(([hours, shown]) =>
    ['broken', 'again', 'read'].map((lost) => {
      const found = simulate({ ...common, turnsPerMinute: 1, failureSeconds: hours * 3600, lost })
      const { done, broken, lostTokens, stall, whole, failures } = found
      return {
        'a failure each': shown,
        'a lost stream': { broken: 'is broken', again: 'is written again', read: 'would be read' }[lost],
        failures,
        'answers lost': broken,
        'of a million': Math.round((broken / (done + broken)) * 1e6),
        'tokens lost with workers': percent(lostTokens / (found.tokensPerSecond * minutes * 60)),
        'silence: median': stall.count ? seconds(stall.p50) : '',
        '99 %': stall.count ? seconds(stall.p99) : '',
        'whole answer: 99 %': seconds(whole.p99),
      }
    }),
  )
}

function batch() {
  const asked = [
    [8, 30, false],
    [32, 30, false],
    [128, 30, false],
    [32, 300, false],
    [32, 60, true],
  ]
  const hours = 6
  return asked.map(([chunk, lockSeconds, keepsLines]) => {
    const set = { times, seed, workers, requests: workers * 1000, chunk, lockSeconds, keepsLines }
    const found = simulateBatch({ ...set, failureSeconds: hours * 3600 })
    const { seconds: calm } = simulateBatch({ ...set, failureSeconds: Infinity })
    return {
      where: keepsLines ? 'folder' : 'queue',
      chunk,
      'lock, seconds': keepsLines ? '' : lockSeconds,
      failures: found.failures,
      'work lost': percent(found.lostSeconds / (found.lostSeconds + found.usefulSeconds)),
      'minutes lost of a worker, each failure': found.lostSeconds / found.failures / 60,
      'wait for the lock, seconds': Math.round(found.waitSeconds / Math.max(1, found.lostChunks)),
      'time, beside no failures': (found.seconds / calm).toFixed(3),
    }
  })
}

function check() {
  return [0.5, 1, 1.5].flatMap((turnsPerMinute) => {
    const conversations = conversationsOf({ seed, turnsPerMinute, minutes: minutes * 4, chats: CHATS })
    const set = { places: 8, kvTokens: 8 * 4096 }
    return [
      ['Scheduler', byScheduler(conversations, times, set)],
      ['simulation', byWorker(conversations, times, set)],
    ].map(([by, { first, whole, cachedShare, steps, events }]) => ({
      'turns a minute': `${turnsPerMinute}`,
      by,
      'first token: mean': seconds(first.mean),
      '95 %': seconds(first.p95),
      'whole answer: mean': seconds(whole.mean),
      'its 95 %': seconds(whole.p95),
      'of prompts cached': percent(cachedShare),
      'steps or events': steps ?? events,
    }))
  })
}

function percent(part) {
  return `${(100 * part).toFixed(part > 0 && part < 0.001 ? 3 : 1)} %`
}

function seconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`
}

function markdown(rows) {
  const names = Object.keys(rows[0])
  const cell = (value) => (typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(2) : `${value}`)
  return [names, names.map(() => '---'), ...rows.map((row) => names.map((name) => cell(row[name])))]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}
