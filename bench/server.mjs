// node bench/server.mjs [FILE] [--rounds N] [--threads N] [--tokens N] [--json]
// What HTTP costs: the same requests by `mixtral-wasm/server` on loopback and by the library, in one process and by
// turns. The time to the first token of one request on an idle model, streamed and prompt not in the cache; and tokens
// a second of 8 streams at the same time. Medians of rounds. Without a file: the demo model, whose steps are so short
// that it shows the costs at their largest. Each stream's text is compared with the library's.

import { Agent, request } from 'node:http'
import { MixtralModel } from '../dist/index.js'
import { serve } from '../dist/server.js'
import { readCommandLine } from './commandLine.mjs'

const text = { type: 'string' }
const options = { rounds: text, threads: text, tokens: text, json: { type: 'boolean' } }
const { values, positionals } = readCommandLine(import.meta.url, options, [0, 1])
const rounds = Number(values.rounds ?? 15)
const threads = Number(values.threads ?? 2)
const tokens = Number(values.tokens ?? 64)
const STREAMS = 8

const load = { threads, contextLength: 512, sequences: STREAMS, kvTokens: 512 * STREAMS }
const model = await MixtralModel.load(positionals[0] ?? 'demo', load)
const server = await serve(model, { port: 0, name: 'bench' })
const agent = new Agent({ keepAlive: true, maxSockets: STREAMS })
let prompts = 0

const ways = { library: byLibrary, server: byServer }
const found = { library: { first: [], rate: [] }, server: { first: [], rate: [] } }
for (let round = -1; round < rounds; round++) {
  for (const way of round % 2 ? ['library', 'server'] : ['server', 'library']) {
    const { first } = await ways[way](prompt(), 4)
    const start = performance.now()
    const streams = await Promise.all(Array.from({ length: STREAMS }, () => ways[way](prompt(), tokens)))
    const seconds = (performance.now() - start) / 1000
    if (round < 0) continue // kernels, threads and connections are warm
    found[way].first.push(first)
    found[way].rate.push(streams.reduce((sum, { count }) => sum + count, 0) / seconds)
  }
}
const same = prompt()
const [one, other] = [await byLibrary(same, tokens), await byServer(same, tokens)]
await server.close()
agent.destroy()
await model.close()
if (one.text !== other.text) throw new Error(`the server wrote ${JSON.stringify(other.text)}, the library ${JSON.stringify(one.text)}`)

const medians = Object.fromEntries(
  Object.entries(found).map(([way, { first, rate }]) => [way, { first: median(first), rate: median(rate) }]),
)
const more = median(found.server.first.map((first, i) => first - found.library.first[i]))
const share = median(found.server.rate.map((rate, i) => rate / found.library.rate[i]))
if (values.json) console.log(JSON.stringify({ threads, rounds, tokens, medians, more, share }))
else {
  console.log(`${threads} threads, ${tokens} tokens, medians of ${rounds} rounds`)
  for (const [way, { first, rate }] of Object.entries(medians)) {
    console.log(`${way.padEnd(9)}first token ${first.toFixed(2)} ms   ${STREAMS} streams ${rate.toFixed(1)} tokens a second`)
  }
  console.log(`the server takes ${more.toFixed(2)} ms more to the first token, and has ${share.toFixed(3)} of the rate`)
}

/** A prompt of its own, so that nothing of it is in the cache. */
function prompt() {
  prompts++
  return [
    model.tokenizer.bosId,
    ...Array.from({ length: 16 }, (_, i) => 300 + ((prompts * 7919 + i * 131) % (model.config.vocabSize - 300))),
  ]
}

async function byLibrary(ids, most) {
  const start = performance.now()
  let first
  let count = 0
  let written = ''
  const session = model.session({ ids })
  for await (const piece of session.stream({ temperature: 0, maxNewTokens: most, ignoreEos: true })) {
    if (piece.ids.length > 0) first ??= performance.now() - start
    count += piece.ids.length
    written += piece.text
  }
  return { first, count, text: written }
}

function byServer(ids, most) {
  const body = JSON.stringify({
    prompt: ids,
    temperature: 0,
    max_tokens: most,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  })
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request(
      `${server.url}/v1/completions`,
      { method: 'POST', agent, headers: { 'content-length': body.length } },
      (response) => {
        let first
        let all = ''
        response.setEncoding('utf8')
        response.on('data', (chunk) => {
          all += chunk
          if (first === undefined && all.includes('data: ')) first = performance.now() - start
        })
        response.on('error', reject).on('end', () => {
          const events = all.split('\n').filter((line) => line.startsWith('data: {'))
          const objects = events.map((line) => JSON.parse(line.slice(6)))
          const written = objects.map(({ choices }) => choices[0]?.text ?? '').join('')
          resolve({ first, count: objects.at(-1).usage.completion_tokens, text: written })
        })
      },
    )
    sent.on('error', reject).end(body)
  })
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]
}
