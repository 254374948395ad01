// node bench/longContext.mjs FILE [--positions 8192] [--tokens N] [--rounds N] [--formats f16,q8] [--threads N] [...]
// How fast a model writes behind a long context, by the format of its KV cache. The model is loaded once for each
// format; each gets the context once, then all write the same tokens by turns, and the medians count. Also --json. With
// --processor, it counts the time of processors, for a machine that does other things, too.

import { MixtralModel } from '../dist/index.js'
import { parallelPrompt } from '../dist/interfaces/cli/benchParallel.js'
import { readCommandLine } from './commandLine.mjs'

const text = { type: 'string' }
const flag = { type: 'boolean' }
const options = { positions: text, tokens: text, rounds: text, threads: text, formats: text, processor: flag, json: flag }
const { values, positionals } = readCommandLine(import.meta.url, options, [1, 1])
const [positions, tokens, rounds, threads] = [values.positions ?? 8192, values.tokens ?? 8, values.rounds ?? 9, values.threads ?? 2].map(
  Number,
)
const formats = (values.formats ?? 'f16,q8').split(',')
/** Milliseconds of the clock, or of all processors. */
const now = () => (values.processor ? process.cpuUsage().user / 1000 : performance.now())

const contextLength = positions + tokens + 1
const writers = []
for (const kvFormat of formats) {
  const model = await MixtralModel.load(positionals[0], { threads, contextLength, kvFormat, sequences: 1 })
  const session = model.session()
  await session.append(parallelPrompt(0, positions, model.config.vocabSize))
  writers.push({ kvFormat, model, session, times: [] })
}
for (let round = -1; round < rounds; round++) {
  for (const { model, session, times } of writers) {
    const ids = parallelPrompt(round + 2, tokens, model.config.vocabSize)
    const start = now()
    for (const id of ids) await session.append([id])
    if (round >= 0) times.push((now() - start) / tokens) // before that, kernels get warm
    session.rewind(positions)
  }
}
const results = writers.map(({ kvFormat, model, times }) => ({ kvFormat, milliseconds: median(times), kvBytes: model.memory.kvBytes }))
await Promise.all(writers.map(({ model }) => model.close()))
if (values.json) console.log(JSON.stringify({ positions, tokens, rounds, threads, processor: values.processor === true, results }))
else {
  const unit = values.processor ? 'milliseconds of processors' : 'milliseconds'
  console.log(`${threads} threads, ${tokens} tokens behind ${positions}, medians of ${rounds}; ${unit} a token`)
  for (const { kvFormat, milliseconds, kvBytes } of results) {
    const ratio = results[0].milliseconds / milliseconds
    console.log(
      `${kvFormat}: ${milliseconds.toFixed(2)}, ${ratio.toFixed(3)} times ${formats[0]}; ${(kvBytes / contextLength / 1024).toFixed(1)} KiB a position`,
    )
  }
}

function median(all) {
  return all.toSorted((a, b) => a - b)[all.length >> 1]
}
