// node largerThanMemory.mjs FILE
// A file larger than memory, here and in node-llama-cpp with mmap: prefill and decode in tokens per second. Each holds
// most of the memory, so they run one after the other, each in a fresh process that warms up with a prefill and some
// tokens of its own, A B A B. The page cache is left as it is: llama.cpp's map lives in it, ours reads past it.

import { parseArgs } from 'node:util'
import { EngineProcess } from './engineProcess.mjs'
import { openFile } from './files.mjs'
import { describeMachine } from './machine.mjs'
import { syntheticIds } from './measure.mjs'
import { median } from './report.mjs'

const usage = `usage: node largerThanMemory.mjs FILE [options]
  --rounds N      of a fresh process for each engine (default: 3)
  --tokens N      decoded after the prompt (default: 24)
  --prompt N      tokens of the prompt (default: 128)
  --threads N     (default: 2)
  --ram BYTES     for mixtral-wasm's weights (default: what the system can spare, as always)
  --lazy          node-llama-cpp's lazyMode, which reads tensors when they are needed
  --json          one object on stdout; progress is on stderr either way`

const CONTEXT = 512
const WARM_UP_TOKENS = 8

const text = { type: 'string' }
const flag = { type: 'boolean', default: false }
const { values, positionals } = parseArgs({
  options: { rounds: text, tokens: text, prompt: text, threads: text, ram: text, lazy: flag, json: flag, help: flag },
  allowPositionals: true,
})
const number = (name, fallback) => {
  const value = Number(values[name] ?? fallback)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name}: found ${values[name]}, expected a whole number from 1`)
  return value
}

const engines = [
  { name: 'mixtral-wasm', script: 'mixtralWasm', options: values.ram ? { ram: number('ram') } : {} },
  { name: 'node-llama-cpp', script: 'nodeLlamaCpp', options: { useMmap: true, lazyMode: values.lazy } },
]

const log = (message) => process.stderr.write(`${message}\n`)

async function run(file) {
  const results = engines.map(({ name }) => ({ name, loadSeconds: [], prefill: [], decode: [], picks: [], peakRssBytes: 0 }))
  for (let round = 1; round <= number('rounds', 3); round++) {
    for (const [i, engine] of engines.entries()) {
      const sample = await measure(engine, file, round)
      const result = results[i]
      for (const key of ['loadSeconds', 'prefill', 'decode', 'picks']) result[key].push(sample[key])
      result.about = sample.about
      result.peakRssBytes = Math.max(result.peakRssBytes, sample.peakRssBytes)
      log(
        `round ${round}, ${engine.name}: prefill ${sample.prefill.toFixed(2)}, decode ${sample.decode.toFixed(2)} tokens/s, peak RSS ${gigabytes(sample.peakRssBytes)}`,
      )
    }
  }
  return results
}

async function measure({ name, script, options }, { path, vocabulary }, round) {
  const child = new EngineProcess(script, [process.execPath])
  try {
    child.offerToKill()
    const { seconds, about } = await child.request('load', { path, threads: number('threads', 2), contextLength: CONTEXT, ...options })
    log(`round ${round}, ${name}: loaded in ${seconds.toFixed(1)} s`)
    const length = number('prompt', 128)
    const ids = (seed, count) => syntheticIds(count, seed, vocabulary)
    const cold = await child.request('prefill', { ids: ids(0, length) })
    log(`round ${round}, ${name}: first prefill ${(length / cold.seconds).toFixed(2)} tokens/s`)
    await child.request('decode', { prompt: ids(0, length), ids: ids(1000, WARM_UP_TOKENS) })
    const prompt = ids(round, length)
    const prefill = await child.request('prefill', { ids: prompt })
    const next = ids(round + 2000, number('tokens', 24))
    const decode = await child.request('decode', { prompt, ids: next })
    const peakRssBytes = child.peakRssBytes()
    await child.close()
    const rates = { prefill: length / prefill.seconds, decode: next.length / decode.seconds }
    return { about, loadSeconds: seconds, ...rates, picks: [...prefill.picks, ...decode.picks], peakRssBytes }
  } catch (error) {
    child.kill()
    throw error
  }
}

function report(file, results) {
  const [own] = results
  const rows = ['prefill', 'decode'].map((kind) => {
    const cells = results.map(
      (result) => `${median(result[kind]).toFixed(2)} [${Math.min(...result[kind]).toFixed(2)}, ${Math.max(...result[kind]).toFixed(2)}]`,
    )
    const ratios = results.slice(1).map((result) => (median(own[kind]) / median(result[kind])).toFixed(2))
    return `| ${kind}, tokens/s | ${[...cells, ...ratios].join(' | ')} |`
  })
  const peers = results.map((result) => {
    const picks = result.picks.flat()
    const agreement = picks.filter((pick, i) => pick === own.picks.flat()[i]).length / picks.length
    return `${result.name}: peak RSS ${gigabytes(result.peakRssBytes)}, load ${median(result.loadSeconds).toFixed(1)} s, ${(100 * agreement).toFixed(0)} % of the picks agree\n${JSON.stringify(result.about)}`
  })
  return [
    `${file.name}, ${gigabytes(file.bytes)}`,
    `| | ${results.map(({ name }) => name).join(' | ')} | ratio |`,
    '|---|---|---|---|',
    ...rows,
    ...peers,
  ].join('\n')
}

const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`

if (values.help || positionals.length !== 1) {
  console.log(usage)
  process.exit(values.help ? 0 : 2)
}
const file = await openFile(positionals[0], log)
const results = await run(file)
console.log(values.json ? JSON.stringify({ machine: describeMachine(), file, results }, null, 2) : report(file, results))
