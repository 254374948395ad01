// node batching.mjs FILE [--counts 1,2,4,8,16] [--tokens N] [--rounds N] [--threads N] [--json]
// After `npm ci --ignore-scripts`. Several sequences that write at the same time, beside node-llama-cpp with as many:
// tokens a second of all together. Each engine has a process of its own for each measurement; they take turns, and the
// medians count. Every sequence has its own prompt and draws its own random tokens, so that many different experts run.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parallelPrompt, rateTogether, writeTokens } from '../../dist/interfaces/cli/benchParallel.js'
import { readCommandLine } from '../commandLine.mjs'

const text = { type: 'string' }
const options = { counts: text, tokens: text, rounds: text, threads: text, engine: text, sequences: text, json: { type: 'boolean' } }
const { values, positionals } = readCommandLine(import.meta.url, options, [1, 1])
const [path] = positionals
const tokens = Number(values.tokens ?? 24)
const threads = Number(values.threads ?? 2)
const PROMPT = 8
const CONTEXT = 256

const engines = { 'mixtral-wasm': ours, 'node-llama-cpp': theirs }
if (values.engine) {
  console.log(JSON.stringify(await engines[values.engine](Number(values.sequences))))
  process.exit()
}

const counts = (values.counts ?? '1,2,4,8,16').split(',').map(Number)
const results = []
for (const sequences of counts) {
  const rates = Object.fromEntries(Object.keys(engines).map((engine) => [engine, []]))
  for (let round = 0; round < Number(values.rounds ?? 3); round++) {
    for (const engine of Object.keys(engines)) rates[engine].push(measureApart(engine, sequences))
  }
  const [our, other] = Object.values(rates).map((list) => list.toSorted((a, b) => a - b)[list.length >> 1])
  results.push({ sequences, 'mixtral-wasm': our, 'node-llama-cpp': other, ratio: our / other })
  if (!values.json) {
    const [one] = results
    const gain = (engine) => `(${(results.at(-1)[engine] / one[engine]).toFixed(2)} x)`
    const [a, b] = Object.keys(engines).map((engine) => `${engine} ${results.at(-1)[engine].toFixed(1)} ${gain(engine)}`)
    console.log(`${String(sequences).padStart(3)} sequences   ${a}   ${b}   ratio ${(our / other).toFixed(2)}`)
  }
}
if (values.json) console.log(JSON.stringify({ threads, tokens, results }))

/** One measurement in a process of its own. */
function measureApart(engine, sequences) {
  const args = [
    fileURLToPath(import.meta.url),
    path,
    '--engine',
    engine,
    '--sequences',
    sequences,
    '--tokens',
    tokens,
    '--threads',
    threads,
  ]
  return JSON.parse(
    execFileSync(process.execPath, args.map(String), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
      .trim()
      .split('\n')
      .at(-1),
  )
}

/** Tokens a second while all of them write, after a short run that warms up. */
async function rate(sequences, stream) {
  const all = (count) => rateTogether(Array.from({ length: sequences }, (_, sequence) => stream(sequence, count)))
  await all(2)
  return all(tokens)
}

async function ours(sequences) {
  const { MixtralModel } = await import('../../dist/index.js')
  const model = await MixtralModel.load(path, { threads, contextLength: CONTEXT, sequences, kvTokens: sequences * CONTEXT })
  const one = (sequence, newTokens) => writeTokens(model, parallelPrompt(sequence, PROMPT, model.config.vocabSize), { sequence, newTokens })
  return rate(sequences, one)
}

async function theirs(sequences) {
  const { getLlama, LlamaLogLevel } = await import('node-llama-cpp')
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    maxThreads: 0,
    logLevel: LlamaLogLevel.disabled,
  })
  const model = await llama.loadModel({ modelPath: path })
  const context = await model.createContext({ contextSize: CONTEXT, sequences, threads, batchSize: 512 })
  const open = Array.from({ length: sequences }, () => context.getSequence())
  const vocabulary = model.fileInsights.trainContextSize ? model.fileInfo.metadata.tokenizer.ggml.tokens.length : 32_000
  return rate(sequences, async function* (sequence, count) {
    await open[sequence].clearHistory()
    const drawn = open[sequence].evaluate(parallelPrompt(sequence, PROMPT, vocabulary), {
      temperature: 3,
      seed: sequence + 1,
      yieldEogToken: true,
    })
    let left = count
    for await (const id of drawn) {
      yield id
      if (--left === 0) break
    }
  })
}
