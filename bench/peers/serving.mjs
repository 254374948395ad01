// node serving.mjs FILE [--clients N] [--tokens N] [--requests N] [--rounds N] [--threads N] [--json]
// After `npm ci --ignore-scripts`. `mixtral-wasm/server` beside node-llama-cpp behind the thinnest HTTP server: tokens
// a second that several clients get together, each with one request after the other, streamed, and the median time to
// the first token. Each engine has a process of its own for each measurement, and a place for each client; they take
// turns, and the medians count. Prompts and seeds differ, so that many different experts run.

import { spawn } from 'node:child_process'
import { createServer, request } from 'node:http'
import { json as jsonOf } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { parallelPrompt } from '../../dist/interfaces/cli/benchParallel.js'
import { readCommandLine } from '../commandLine.mjs'

const text = { type: 'string' }
const numbers = { clients: text, tokens: text, requests: text, rounds: text, threads: text }
const { values, positionals } = readCommandLine(import.meta.url, { ...numbers, engine: text, json: { type: 'boolean' } }, [1, 1])
const [path] = positionals
const [clients, tokens, requests] = [Number(values.clients ?? 8), Number(values.tokens ?? 48), Number(values.requests ?? 2)]
const threads = Number(values.threads ?? 2)
const PROMPT = 16
const CONTEXT = 256
const sampling = { temperature: 3, top_k: 40 }

const engines = { 'mixtral-wasm': ours, 'node-llama-cpp': theirs }
if (values.engine) {
  const { port, vocabulary } = await engines[values.engine]()
  console.log(`#server ${JSON.stringify({ port, vocabulary })}`)
} else await compare()

async function compare() {
  const found = Object.fromEntries(Object.keys(engines).map((engine) => [engine, { rates: [], firsts: [] }]))
  for (let round = 0; round < Number(values.rounds ?? 3); round++) {
    for (const [engine, { rates, firsts }] of Object.entries(found)) {
      const { rate, first } = await measureApart(engine)
      rates.push(rate)
      firsts.push(first)
    }
  }
  const results = Object.entries(found).map(([engine, { rates, firsts }]) => ({
    engine,
    rate: median(rates),
    first: median(firsts),
    rates,
  }))
  const ratio = results[0].rate / results[1].rate
  if (values.json) return console.log(JSON.stringify({ threads, clients, tokens, requests, results, ratio }))
  console.log(`${clients} clients, ${requests} requests each of ${PROMPT} + ${tokens} tokens, ${threads} threads`)
  for (const { engine, rate, first } of results) {
    console.log(`${engine.padEnd(16)}${rate.toFixed(1)} tokens a second   first token after ${first.toFixed(0)} ms`)
  }
  console.log(`ratio ${ratio.toFixed(2)}`)
}

/** One measurement with a server in a process of its own. */
async function measureApart(engine) {
  const args = ['--engine', engine, '--clients', clients, '--threads', threads].map(String)
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const server = await new Promise((resolve, reject) => {
      let said = ''
      child.stdout.on('data', (data) => {
        said += data
        const [, line] = /^#server (.*)$/m.exec(said) ?? []
        if (line) resolve(JSON.parse(line))
      })
      child.on('close', (code) => reject(new Error(`${engine} ended with ${code}`)))
    })
    await Promise.all(Array.from({ length: clients }, (_, i) => ask(server, i, 2))) // warm
    const start = performance.now()
    const answers = await Promise.all(Array.from({ length: clients }, (_, i) => client(server, i)))
    const seconds = (performance.now() - start) / 1000
    return { rate: (clients * requests * tokens) / seconds, first: median(answers.flat()) }
  } finally {
    const ended = new Promise((resolve) => child.on('close', resolve))
    child.kill('SIGKILL')
    await ended
  }
}

/** The times to the first token of a client's requests. */
async function client(server, number) {
  const firsts = []
  for (let i = 1; i <= requests; i++) firsts.push(await ask(server, number + i * clients, tokens))
  return firsts
}

/** One request; milliseconds to its first token. Both servers take the same body and write an event for each token. */
function ask({ port, vocabulary }, number, most) {
  const body = JSON.stringify({
    ...{ prompt: parallelPrompt(number, PROMPT, vocabulary), max_tokens: most, seed: number + 1, ignore_eos: true, stream: true },
    ...{ ...sampling, stream_options: { include_usage: true } },
  })
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request({ port, path: '/v1/completions', method: 'POST', headers: { 'content-length': body.length } }, (response) => {
      let first
      let all = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        all += chunk
        if (all.includes('data: ')) first ??= performance.now() - start
      })
      response.on('error', reject).on('end', () => {
        const [, count] = /"completion_tokens":(\d+)/.exec(all) ?? []
        if (Number(count) === most) resolve(first)
        else reject(new Error(`status ${response.statusCode}, ${count} tokens, expected ${most}: ${all.slice(0, 300)}`))
      })
    })
    sent.on('error', reject).end(body)
  })
}

async function ours() {
  const { MixtralModel } = await import('../../dist/index.js')
  const { serve } = await import('../../dist/server.js')
  const model = await MixtralModel.load(path, { threads, contextLength: CONTEXT, sequences: clients, kvTokens: clients * CONTEXT })
  const { port } = await serve(model, { port: 0 })
  return { port, vocabulary: model.config.vocabSize }
}

async function theirs() {
  const { getLlama, LlamaLogLevel } = await import('node-llama-cpp')
  const llama = await getLlama({
    ...{ gpu: false, build: 'never', skipDownload: true, progressLogs: false, maxThreads: 0, logLevel: LlamaLogLevel.disabled },
  })
  const model = await llama.loadModel({ modelPath: path })
  const context = await model.createContext({ contextSize: CONTEXT, sequences: clients, threads, batchSize: 512 })
  const free = Array.from({ length: clients }, () => context.getSequence()) // never empty: a client has one request at a time
  const server = createServer(async (incoming, response) => {
    const { prompt, max_tokens: most, temperature, top_k: topK, seed } = await jsonOf(incoming)
    const sequence = free.pop()
    await sequence.clearHistory()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    let count = 0
    for await (const id of sequence.evaluate(prompt, { temperature, topK, seed, yieldEogToken: true })) {
      response.write(`data: ${JSON.stringify({ choices: [{ index: 0, text: model.detokenize([id]) }] })}\n\n`)
      if (++count === most) break
    }
    free.push(sequence)
    response.end(`data: ${JSON.stringify({ choices: [], usage: { completion_tokens: count } })}\n\ndata: [DONE]\n\n`)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: server.address().port, vocabulary: model.fileInfo.metadata.tokenizer.ggml.tokens.length }
}

function median(list) {
  return list.toSorted((a, b) => a - b)[list.length >> 1]
}
