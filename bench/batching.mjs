// node bench/batching.mjs FILE [--counts 1,2,4,8,16] [--tokens N] [--rounds N] [--threads N] [--json]
// What it brings to write several texts at the same time: tokens a second of all together, for each number of
// sequences, beside a prompt in steps of as many rows, which the same kernels run without sampling or streams: one of
// which only the last row gets logits, and one of which every row gets them, as rows of texts do. Each round measures
// all by turns; the medians count.

import { MixtralModel } from '../dist/index.js'
import { parallelPrompt, rateTogether, writeTokens } from '../dist/interfaces/cli/benchParallel.js'
import { readCommandLine } from './commandLine.mjs'

const text = { type: 'string' }
const options = { counts: text, tokens: text, rounds: text, threads: text, json: { type: 'boolean' } }
const { values, positionals } = readCommandLine(import.meta.url, options, [1, 1])
const counts = (values.counts ?? '1,2,4,8,16').split(',').map(Number)
const tokens = Number(values.tokens ?? 24)
const rounds = Number(values.rounds ?? 3)
const threads = Number(values.threads ?? 2)
const PROMPT = 8
const contextLength = 256

const results = []
for (const sequences of counts) {
  const kvTokens = sequences * contextLength
  const model = await MixtralModel.load(positionals[0], { threads, contextLength, sequences, batchSize: sequences, kvTokens })
  const written = []
  const prompts = []
  const scored = []
  await write(model, sequences, 2) // kernels and threads are warm
  for (let round = 0; round < rounds; round++) {
    written.push(await write(model, sequences, tokens))
    prompts.push(await readPrompt(model, sequences, (ids) => model.evaluate(ids)))
    scored.push(await readPrompt(model, sequences, (ids) => model.score(ids)))
  }
  await model.close()
  results.push({ sequences, written: median(written), prompt: median(prompts), scored: median(scored) })
}

if (values.json) console.log(JSON.stringify({ threads, tokens, rounds, results }))
else {
  console.log(`${threads} threads, ${tokens} tokens, medians of ${rounds}; tokens a second of all sequences together`)
  for (const { sequences, written, prompt, scored } of results) {
    const parts = [`${sequences}`.padStart(4), written.toFixed(1).padStart(8), `${(written / results[0].written).toFixed(2)} x`.padStart(8)]
    const share = (rate) => `${rate.toFixed(1)}, share ${(written / rate).toFixed(2)}`
    console.log(`${parts.join('')}   a prompt in steps of ${sequences}: ${share(prompt)}; with logits of each row: ${share(scored)}`)
  }
}

/** Tokens a second while all sequences write. */
async function write(model, sequences, newTokens) {
  await model.reset()
  const one = (sequence) => writeTokens(model, parallelPrompt(sequence, PROMPT, model.config.vocabSize), { sequence, newTokens })
  return rateTogether(Array.from({ length: sequences }, (_, sequence) => one(sequence)))
}

/** Tokens a second of a prompt whose steps have as many rows as there are sequences, which is the batch size. */
async function readPrompt(model, rows, read) {
  await model.reset()
  const steps = Math.max(2, Math.min(24, Math.floor((contextLength - 1) / rows)))
  const ids = Array.from({ length: steps * rows }, (_, i) => (i * 7919 + 131) % model.config.vocabSize)
  const start = performance.now()
  await read(ids)
  return (1000 * ids.length) / (performance.now() - start)
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}
