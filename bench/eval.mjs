// node bench/eval.mjs [FILE] [--items N] [--words N] [--rounds N] [--threads N] [--processor] [--json]
// What `mixtral eval` makes of items with four choices: the time of a run, beside that of the contexts alone, and
// beside one choice at a time of which each computes its context again, as engines do that score sequences. Items are
// made of random words: of MMLU's form, whose choices are letters, and of HellaSwag's, whose choices are sentences.
// Each round measures all by turns, on an empty cache; the medians count. With --processor, it counts the time of
// processors, for a machine that does other things, too. All ways must give one hash of scores.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { choiceTokens } from '../dist/evaluation/tasks/choiceScores.js'
import { taskForms } from '../dist/evaluation/tasks/taskForms.js'
import { taskItems } from '../dist/evaluation/tasks/taskItems.js'
import { evaluateTask, MixtralModel } from '../dist/index.js'
import { readCommandLine } from './commandLine.mjs'

const text = { type: 'string' }
const { values, positionals } = readCommandLine(
  import.meta.url,
  { items: text, words: text, rounds: text, threads: text, processor: { type: 'boolean' }, json: { type: 'boolean' } },
  [0, 1],
)
const [count, words, rounds, threads] = [values.items ?? 16, values.words ?? 80, values.rounds ?? 3, values.threads ?? 2].map(Number)
const ENDING = 16
/** Milliseconds of the clock, or of all processors. */
const now = () => (values.processor ? process.cpuUsage().user / 1000 : performance.now())

const model = await MixtralModel.load(positionals[0] ?? 'demo', { threads })
const vocabulary = Array.from({ length: model.config.vocabSize }, (_, id) => model.tokenizer.token(id).piece).flatMap((piece) =>
  /^▁[a-z]{2,}$/.test(piece) ? [piece.slice(1)] : [],
)
let state = 1
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}
const sentence = (length) => Array.from({ length }, () => vocabulary[random(vocabulary.length)]).join(' ')
const four = (make) => Array.from({ length: 4 }, make)
const rows = {
  mmlu: () => ({ question: sentence(words), subject: 'random_words', choices: four(() => sentence(6)), answer: random(4) }),
  hellaswag: () => ({
    activity_label: 'Random words',
    ...{ ctx_a: sentence(words), ctx_b: '', endings: four(() => sentence(ENDING)), label: `${random(4)}` },
  }),
}

const folder = mkdtempSync(join(tmpdir(), 'mixtral-bench-eval-'))
const results = []
try {
  for (const [task, make] of Object.entries(rows)) results.push(await measure(task, make))
} finally {
  rmSync(folder, { recursive: true })
  await model.close()
}
if (values.json) console.log(JSON.stringify({ threads, processor: values.processor === true, items: count, rounds, results }))
else {
  console.log(
    `${threads} threads, ${count} items of four choices, medians of ${rounds}; milliseconds${values.processor ? ' of processors' : ''} an item`,
  )
  for (const { task, contextTokens, scoredTokens, run, contexts, single } of results) {
    const beside = `contexts alone ${contexts.toFixed(1)}, so ${(run / contexts).toFixed(2)} of them`
    const gain = `one choice at a time ${single.toFixed(1)}, so ${(single / run).toFixed(2)} times as fast`
    console.log(`${task} (${contextTokens} tokens, ${scoredTokens} scored): ${run.toFixed(1)}; ${beside}; ${gain}`)
  }
}

async function measure(task, make) {
  const file = join(folder, `${task}.jsonl`)
  writeFileSync(file, Array.from({ length: count }, () => `${JSON.stringify(make())}\n`).join(''))
  const items = []
  const source = { form: taskForms[task], file, exampleFile: undefined, shots: 0, limit: count, signal: undefined }
  for await (const { prompts, row } of taskItems(source)) {
    items.push(choiceTokens(model.tokenizer, prompts, model.contextLength, row.where))
  }
  const ways = {
    run: async () => (await evaluateTask(model, task, file)).scoresHash,
    contexts: () => computeContexts(items),
    single: () => scoreSingly(items),
  }
  const times = { run: [], contexts: [], single: [] }
  const hashes = new Set()
  for (let round = -1; round < rounds; round++) {
    for (const [way, go] of Object.entries(ways)) {
      await model.reset()
      const start = now()
      const hash = await go()
      if (round >= 0) times[way].push((now() - start) / items.length) // before that, kernels get warm
      if (hash !== undefined) hashes.add(hash)
    }
  }
  if (hashes.size !== 1) throw new Error(`${task}: the scores differ: ${[...hashes].join(', ')}`)
  const mean = (of) => Math.round(items.reduce((sum, item) => sum + of(item), 0) / items.length)
  return {
    task,
    contextTokens: mean(([{ from }]) => from),
    scoredTokens: mean((item) => item.reduce((sum, { ids, from }) => sum + ids.length - from, 0)),
    ...Object.fromEntries(Object.entries(times).map(([way, all]) => [way, median(all)])),
  }
}

/** Runs the context of each item once, as many of them at a time as a run makes calls. */
async function computeContexts(items) {
  const waiting = items.map(([{ ids, from }]) => ids.slice(0, from))
  const next = async () => {
    for (let context = waiting.shift(); context; context = waiting.shift()) await model.evaluate(context)
  }
  await Promise.all(Array.from({ length: 2 * model.status().sequences }, next))
}

/** Scores one choice after the other, each with its context: a salt of its own keeps it from sharing anything. */
async function scoreSingly(items) {
  const hash = createHash('sha256')
  const bits = new DataView(new ArrayBuffer(8))
  let salt = 0
  for (const { ids, from } of items.flat()) {
    const scored = await model.score(ids, { from, salt: `${salt++}` })
    bits.setFloat64(
      0,
      scored.reduce((sum, { logprob }) => sum + logprob, 0),
      true,
    )
    hash.update(new Uint8Array(bits.buffer))
  }
  return hash.digest('hex')
}

function median(all) {
  return all.toSorted((a, b) => a - b)[all.length >> 1]
}
