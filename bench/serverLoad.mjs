// node bench/serverLoad.mjs [--minutes N] [--seconds N] [--clients N] [--at-once] [--seed N] [--profile DIR] [--json]
// A server under load: the demo model, 64 clients for 10 minutes, who come one after the other in the first 5 seconds,
// or all in one moment with --at-once. Of the requests a third is left at a random moment; some clients send garbage,
// some never read. Every whole answer is compared with what the same request got alone. At
// the end all pages of the KV cache must be free, the server must have lived and must end in good order, and its memory
// in the last minute must be within 5 % of the second's. Prints what was answered, memory, and latencies of /health,
// beside those of a server in the same machine that does nothing else. Exit code 1 if anything is wrong. Latencies are
// judged by the reader, who knows what else the machine does.

import { fork } from 'node:child_process'
import { connect } from 'node:net'
import { loadavg, setPriority } from 'node:os'
import { readCommandLine } from './commandLine.mjs'
import { startServer } from './serverProcess.mjs'

const text = { type: 'string' }
const flag = { type: 'boolean' }
const options = { minutes: text, seconds: text, clients: text, 'at-once': flag, seed: text, profile: text, json: flag }
const { values } = readCommandLine(import.meta.url, options)
const seconds = Number(values.seconds ?? 60 * Number(values.minutes ?? 10))
const clients = Number(values.clients ?? 64)

const random = randomFrom(Number(values.seed ?? 1))
const choose = (list) => list[Math.floor(random() * list.length)]
const say = (line) => values.json || console.log(line)

const kinds = requestKinds()
const profile = values.profile ? ['--cpu-prof', `--cpu-prof-dir=${values.profile}`] : []
const server = await startServer('demo', ['--parallel', '8', '--kv-tokens', '4096', '--queue', '256', '--grace', '5'], profile)
const faults = []
const counts = { whole: 0, left: 0, garbage: 0, unread: 0, busy: 0 }
const expected = new Map()
for (const kind of kinds) expected.set(kind, (await ask(kind)).told)

/** Seconds in which all clients come. */
const COMING = values['at-once'] ? 0 : 5
/** Seconds of which latencies are also told apart: server, clients and the asker compile their code in these. */
const BEGINNING = 7
const probes = [server.url, 'idle'].map((url) => {
  const latencies = []
  const probe = fork(new URL('healthProbe.mjs', import.meta.url), [url, '50'])
  probe.on('message', ({ milliseconds, problem }) => {
    latencies.push({ at: elapsed(), milliseconds })
    if (problem) fault(`/health: ${problem}`)
  })
  return { probe, latencies }
})
// The clients, which elsewhere are other machines, leave the cores to the server and to who asks for its health.
setPriority(10)
const memory = []
const start = performance.now()
const elapsed = () => (performance.now() - start) / 1000
const sampling = setInterval(() => memory.push({ at: elapsed(), bytes: server.residentBytes(), load: loadavg()[0] }), 1000)
await Promise.all(Array.from({ length: clients }, (_, i) => pause((i * 1000 * COMING) / clients).then(() => client(i))))
clearInterval(sampling)
for (const { probe } of probes) probe.kill()

const left = await leftOver()
const { code, said } = await server.end()
if (code !== 0) fault(`the server ended with ${code}: ${said}`)
report()
process.exitCode = faults.length > 0 ? 1 : 0

/** Requests of every kind, each with one answer. */
function requestKinds() {
  const user = (content) => [{ role: 'user', content }]
  const chats = ['What is the capital of France?', 'What is 7 + 5?', 'Tell me a story.', 'Who are you?']
  return [
    ...chats.flatMap((question, i) => [
      { path: '/v1/chat/completions', body: { messages: user(question), temperature: 0, max_tokens: 40 } },
      { path: '/v1/chat/completions', body: { messages: user(question), temperature: 1.2, seed: i, max_tokens: 30, stream: true } },
      { path: '/api/chat', body: { model: 'demo', messages: user(question), options: { temperature: 0.9, seed: i, num_predict: 30 } } },
    ]),
    { path: '/v1/completions', body: { prompt: 'Long ago,', n: 3, seed: 5, max_tokens: 25, logprobs: 2, stream: true } },
    { path: '/v1/completions', body: { prompt: ['KING RICHARD III:\n', 'Once upon'], temperature: 0, max_tokens: 60 } },
    { path: '/v1/completions', body: { prompt: 'The capital of France is Paris', max_tokens: 1, temperature: 0, logprobs: 3, echo: true } },
    { path: '/v1/completions', body: { prompt: 'x '.repeat(200), temperature: 0, max_tokens: 10 } },
  ]
}

/** One request; what it was told, without ids and times, or the status of a server that is busy. */
async function ask({ path, body }, signal) {
  const response = await fetch(server.url + path, { method: 'POST', body: JSON.stringify(body), ...(signal && { signal }) })
  const answer = await response.text()
  if (response.status === 503) return { busy: true }
  if (response.status !== 200) throw new Error(`status ${response.status}: ${answer.slice(0, 200)}`)
  const parts = response.headers.get('content-type') === 'application/json' ? [answer] : answer.split('\n')
  const objects = parts.map((line) => line.trim().replace(/^data: /, '')).filter((line) => line.startsWith('{'))
  const tellings = objects.map((line) => telling(JSON.parse(line)))
  return { told: JSON.stringify(joined(tellings)) }
}

/** Of one object of an answer, what depends on the request alone. */
function telling({ choices, message, response, done_reason: reason, eval_count: count, error }) {
  if (error) throw new Error(JSON.stringify(error))
  if (!choices) return [{ index: 0, text: message?.content ?? response ?? '', reason, count }]
  return choices.map(({ index, text, delta, message, logprobs, finish_reason }) => ({
    index,
    text: text ?? delta?.content ?? message?.content ?? '',
    logprobs: logprobs ?? undefined,
    reason: finish_reason ?? undefined,
  }))
}

/** The pieces of each answer together: where a stream is cut into pieces is no matter. */
function joined(tellings) {
  const answers = []
  for (const { index, text, logprobs, reason, count } of tellings.flat()) {
    answers[index] ??= { text: '', tokens: [], reason: undefined, count: undefined }
    const answer = answers[index]
    answer.text += text
    answer.tokens.push(...(logprobs?.token_logprobs ?? []))
    answer.reason ??= reason
    answer.count ??= count
  }
  return answers
}

/** Requests, one after the other, until the time is over. */
async function client(number) {
  const work = number % 16 === 7 ? unread : number % 8 === 3 ? garbage : undefined
  while (elapsed() < seconds && server.lives) {
    try {
      await (work ?? (random() < 1 / 3 ? leave : whole))()
    } catch (error) {
      fault(`${error.message} ${error.cause?.message ?? ''}`)
    }
  }
}

async function whole() {
  const kind = choose(kinds)
  const { told, busy } = await ask(kind)
  counts[busy ? 'busy' : 'whole']++
  if (busy) await pause(500)
  else if (told !== expected.get(kind)) fault(`${kind.path} ${JSON.stringify(kind.body)}: ${told}, expected ${expected.get(kind)}`)
}

async function leave() {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), random() ** 2 * 2000)
  await ask(choose(kinds), controller.signal).catch((error) => {
    if (error.name !== 'AbortError') throw error
  })
  clearTimeout(timer)
  counts.left++
}

/** What is no request, or a wrong one, or half of one. Whatever comes back, the server must live. */
async function garbage() {
  const bytes = Buffer.from(Array.from({ length: 200 }, () => Math.floor(random() * 256)))
  const post = (body) => `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const sent = choose([
    bytes,
    post('{"messages": ['),
    post(JSON.stringify({ messages: [{ role: 'user', content: 7 }] })),
    post(JSON.stringify({ messages: [{ role: 'user', content: 'a' }], temperature: 'warm', n: -1 })),
    post('[').slice(0, -1),
    `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  ])
  await connection(sent, 300 * random())
  counts.garbage++
}

/** Asks for megabytes and reads none of them, for a while or for ever. */
async function unread() {
  const body = JSON.stringify({ prompt: Array(64).fill('x '.repeat(200)), echo: true, logprobs: 20, max_tokens: 1, stream: true })
  const sent = `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  await connection(sent, Math.min(20_000 + 60_000 * random(), Math.max(0, seconds - elapsed()) * 1000), true)
  counts.unread++
}

/** A connection that sends this, and is cut after a while or by the server. */
function connection(sent, milliseconds, deaf = false) {
  return new Promise((resolve) => {
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    if (deaf) socket.pause()
    else socket.resume()
    const timer = setTimeout(() => socket.destroy(), milliseconds)
    socket
      .on('error', () => {})
      .on('close', () => {
        clearTimeout(timer)
        resolve()
      })
    socket.write(sent)
  })
}

/** Sequences and pages that are not free when all clients have left, after some seconds at most. */
async function leftOver() {
  const names = ['running', 'waiting', 'suspended']
  for (const until = performance.now() + 10_000; ; await pause(100)) {
    const sequences = await Promise.all(names.map((name) => server.metric(`mixtral_sequences_${name}`)))
    const held = (await server.metric('mixtral_kv_tokens')) - (await server.metric('mixtral_kv_free_tokens'))
    const sum = sequences.reduce((sum, count) => sum + count, 0)
    if (sum + held === 0) return 0
    if (performance.now() < until) continue
    fault(`${sum} sequences and ${held} positions are left`)
    return held
  }
}

/** Latencies: how many, and the middle and the worst of them. */
function percentiles(all) {
  const sorted = all.map(({ milliseconds }) => milliseconds).toSorted((a, b) => a - b)
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]
  return { asked: sorted.length, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: sorted.at(-1) }
}

function report() {
  const mean = (from, to) => average(memory.filter(({ at }) => at >= from && at < to).map(({ bytes }) => bytes))
  const [second, last] = [mean(60, 120), mean(elapsed() - 60 - 1, Infinity)]
  const growth = seconds >= 180 ? last / second - 1 : undefined // shorter runs only warm up
  if (growth !== undefined && Math.abs(growth) > 0.05) fault(`memory: ${(100 * growth).toFixed(1)} % from the second minute to the last`)
  const [own, idle] = probes.map(({ latencies }) => latencies)
  const health = percentiles(own)
  const begins = percentiles(own.filter(({ at }) => at < BEGINNING))
  const floor = percentiles(idle)
  const load = average(memory.map(({ load }) => load))
  const peak = Math.max(...memory.map(({ bytes }) => bytes))
  if (values.json)
    console.log(JSON.stringify({ seconds, clients, counts, left, second, last, growth, peak, health, begins, floor, load, faults }))
  const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`
  say(`${clients} clients, ${seconds} s; load of the machine ${load.toFixed(1)}`)
  say(
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  )
  if (growth !== undefined) say(`memory: ${mb(second)} in the second minute, ${mb(last)} in the last, ${(100 * growth).toFixed(1)} %`)
  say(`memory: at most ${mb(peak)}`)
  for (const [what, figures] of Object.entries({
    '/health': health,
    [`of these in the first ${BEGINNING} s`]: begins,
    'the same of a server without work': floor,
  })) {
    const all = Object.entries(figures).map(([name, value]) => `${name} ${Number(value?.toFixed(1))}`)
    say(`${what}, ms: ${all.join(', ')}`)
  }
  say(faults.length > 0 ? `${faults.length} faults\n${faults.slice(0, 20).join('\n')}` : 'no faults')
}

function average(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}

function fault(line) {
  faults.push(line)
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Numbers in [0, 1), the same for the same seed: mulberry32. */
function randomFrom(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
