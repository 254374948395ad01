// node bench/capacity.mjs FILE [--parts 1,0.75,0.5,0.25] [--tokens N] [--rounds N] [--threads N] [--both] [--json]
// The cost of memory for only a part of the experts: decodes the same tokens with each part in a new process, by turns.
// Checks that the logits are those of the resident model, bit for bit. Prints the time per token beside its bounds: the
// resident model's time, or the bytes read at the rate of the disk. That rate is measured between the tokens: for
// threads that only read (diskRate.mjs), and beside threads that repack and multiply as a token does
// (pipelineRate.mjs). --both: each part without the lookahead too (workers/withoutLookahead.js).

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { MixtralModel } from '../dist/index.js'
import { expertRates } from '../dist/runtime/residency/expertFigures.js'
import { mixtralTensors } from '../dist/runtime/weights/mixtralTensors.js'
import { readCommandLine } from './commandLine.mjs'
import { DiskRate } from './diskRate.mjs'
import { PipelineRate } from './pipelineRate.mjs'

const PROMPT = 16
/** Tokens before what is timed, so that the experts in memory are those that the policy keeps. */
const WARM_UP = 16
/** Tokens between two looks at the disk, and how long a look takes. */
const STRETCH = 8
const LOOK_SECONDS = 0.4

const text = { type: 'string' }
const flag = { type: 'boolean', default: false }
const options = {
  parts: text,
  both: flag,
  blind: flag,
  tokens: text,
  rounds: text,
  threads: text,
  part: text,
  json: { type: 'boolean' },
}
const { values, positionals } = readCommandLine(import.meta.url, options, [1, 1])
const [path] = positionals
const tokens = Number(values.tokens ?? 32)
const threads = Number(values.threads ?? 2)

/** One process: decodes with slots for a part of the experts. */
async function decode(part) {
  const small = { threads, contextLength: 256, batchSize: PROMPT }
  const ram = part < 1 ? { ram: await budget(small, part) } : {}
  const worker = values.blind ? { worker: new URL('./workers/withoutLookahead.js', import.meta.url).href } : {}
  const model = await MixtralModel.load(path, { ...small, ...ram, ...worker })
  const disk = new DiskRate(path)
  const gates = mixtralTensors(model.config, model.gguf).layers.flatMap(({ experts }) => experts.map(({ ffnGate }) => ffnGate))
  const pipeline = part < 1 ? new PipelineRate(path, gates, threads) : undefined
  const hash = createHash('sha256')
  const ids = Array.from({ length: PROMPT + WARM_UP + tokens }, (_, i) => (i * 7919 + 13) % model.config.vocabSize)
  const step = async (count) => {
    const logits = await model.evaluate(ids.slice(0, count))
    hash.update(new Uint8Array(logits.buffer))
  }
  for (let count = PROMPT; count <= PROMPT + WARM_UP; count++) await step(count)
  const before = model.expertFigures()
  const rates = []
  const besideRates = []
  const { uses, hits } = before ?? { uses: 1, hits: 0 }
  let seconds = 0
  for (let done = 0; done < tokens; done += STRETCH) {
    rates.push(await disk.measure(LOOK_SECONDS))
    if (pipeline) besideRates.push(await pipeline.measure(LOOK_SECONDS, hits / (uses - hits)))
    const start = performance.now()
    for (let i = done; i < Math.min(tokens, done + STRETCH); i++) await step(PROMPT + WARM_UP + i + 1)
    seconds += (performance.now() - start) / 1e3
  }
  const figures = model.expertFigures(before)
  const result = {
    part,
    blind: values.blind,
    experts: model.memory.experts,
    slots: model.memory.expertSlots,
    memoryBytes: model.memory.totalBytes,
    seconds: seconds / tokens,
    diskRate: mean(rates),
    rateBeside: pipeline ? mean(besideRates) : mean(rates),
    hash: hash.digest('hex'),
    figures,
  }
  await disk.close()
  await pipeline?.close()
  await model.close()
  return result
}

/** Bytes of memory for that part of the experts. */
async function budget(small, part) {
  const { planModel } = await import('../dist/runtime/weights/plan.js')
  const { MixtralConfig, WeightLoader } = await import('../dist/index.js')
  const { expertBytes } = await import('../dist/runtime/weights/bankLayout.js')
  const { gguf, metadata } = await WeightLoader.fromGguf(path)
  const config = MixtralConfig.fromGgufMetadata(metadata)
  const tensors = mixtralTensors(config, gguf)
  const plan = { build: 'relaxed-simd', threads, batchSize: small.batchSize, contextLength: small.contextLength }
  const least = planModel(config, tensors, { ...plan })
  const experts = tensors.layers.flatMap((layer) => layer.experts.map(expertBytes))
  const fewer = planModel(config, tensors, { ...plan, ram: least.bytes - 1 })
  const buffers = (fewer.scratch.bytes - least.scratch.bytes) * fewer.banks.length // staging buffers, in every bank
  return Math.ceil(least.bytes - (1 - part) * experts.reduce((a, b) => a + b, 0) + buffers)
}

function compare() {
  const parts = (values.parts ?? '1,0.75,0.5,0.25').split(',').map(Number)
  const cases = parts.flatMap((part) => (values.both && part < 1 ? [[part, '--blind'], [part]] : [[part]]))
  const results = cases.map(() => [])
  for (let round = 0; round < Number(values.rounds ?? 3); round++) {
    for (const [i, [part, ...blind]] of cases.entries()) {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [fileURLToPath(import.meta.url), path, '--part', part, '--tokens', tokens, '--threads', threads, ...blind],
        { encoding: 'utf8' },
      )
      if (status !== 0) throw new Error(`${part} of the experts: ${stderr}`)
      results[i].push(JSON.parse(stdout))
      process.stderr.write(`round ${round + 1}, ${[part, ...blind].join(' ')}: ${(1 / results[i].at(-1).seconds).toFixed(2)} tokens/s\n`)
    }
  }
  const different = results.flat().find(({ hash }) => hash !== results[0][0].hash)
  if (different)
    throw new Error(`logits with ${different.slots} of ${different.experts} experts are ${different.hash}, expected ${results[0][0].hash}`)
  const compute = parts[0] === 1 ? median(results[0].map(({ seconds }) => seconds)) : 0 // not known
  const rows = results.map((runs) => summary(runs, compute))
  if (values.json) console.log(JSON.stringify({ tokens, threads, logits: results[0][0].hash, rows, samples: results }, null, 2))
  else console.log(`logits bit-identical in all ${results.flat().length} runs\n${table(rows)}`)
}

function summary(runs, compute) {
  const of = (value) => median(runs.map(value))
  const bytes = of(({ figures }) => (figures ? figures.bytesRead / tokens : 0))
  const rate = of(({ diskRate }) => diskRate)
  const seconds = of((run) => run.seconds)
  const over = (run, diskRate) => run.seconds / Math.max(compute, run.figures ? run.figures.bytesRead / tokens / diskRate : 0)
  return {
    slots: runs[0].slots,
    blind: runs[0].blind,
    experts: runs[0].experts,
    tokensPerSecond: 1 / seconds,
    hitRate: of(({ figures }) => (figures ? expertRates(figures).hitRate : 1)),
    hiddenMisses: of(({ figures }) => (figures ? expertRates(figures).hiddenMisses : 1)),
    bytesPerToken: bytes,
    diskRate: rate,
    secondsPerToken: seconds,
    computeSeconds: compute,
    readSeconds: bytes / rate,
    rateBeside: of((run) => run.rateBeside),
    overBound: of((run) => over(run, run.diskRate)),
    overBoundBeside: of((run) => over(run, run.rateBeside)),
  }
}

function table(rows) {
  const lines = rows.map((row) =>
    [
      `${row.slots} of ${row.experts}${row.blind ? ', no lookahead' : ''}`,
      row.tokensPerSecond.toFixed(2),
      `${(100 * row.hitRate).toFixed(0)} %`,
      `${(100 * row.hiddenMisses).toFixed(0)} %`,
      `${(row.bytesPerToken / 1e6).toFixed(0)} MB`,
      `${(row.diskRate / 1e9).toFixed(2)} GB/s`,
      `${(row.rateBeside / 1e9).toFixed(2)} GB/s`,
      `${(1e3 * row.secondsPerToken).toFixed(0)} ms`,
      `${(1e3 * row.computeSeconds).toFixed(0)} ms`,
      `${(1e3 * row.readSeconds).toFixed(0)} ms`,
      row.overBound.toFixed(2),
      row.overBoundBeside.toFixed(2),
    ].join(' | '),
  )
  const head = [
    'experts in memory',
    'tokens/s',
    'hits',
    'of misses read ahead',
    'read a token',
    'disk',
    'beside computing',
    'a token',
    'compute',
    'reading',
    'of the larger',
    'by the rate beside computing',
  ]
  return [head.join(' | '), head.map(() => '---').join('|'), ...lines].map((line) => `| ${line} |`).join('\n')
}

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1]

if (values.part !== undefined) console.log(JSON.stringify(await decode(Number(values.part))))
else compare()
