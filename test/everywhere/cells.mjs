// The determinism matrix inside one runtime and kernel build: reads { cells, tokens, sampling, task } as JSON from
// stdin and prints a line of JSON for each cell. Runs in an empty project beside the packed package; MIXTRAL_KERNELS
// chooses the build.

import { createHash } from 'node:crypto'
import { text as textOf } from 'node:stream/consumers'
import { evaluateTask, MixtralModel } from 'mixtral-wasm'

const { cells, tokens, sampling, task } = JSON.parse(await textOf(process.stdin))

const { bun, deno, node } = process.versions
const runtime = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`

for (const cell of cells) {
  const { threads, batchSize, streamed } = cell
  const options = { threads, batchSize, contextLength: 256 }
  const load = async (more) => {
    const all = { ...options, ...more }
    return MixtralModel.load('demo', streamed ? { ...all, ram: await leastRam(all) } : all)
  }
  const model = await load({})
  const fresh = sha256(await model.logits(tokens))
  const reused = sha256(await withReuse(model))
  const { text } = await model.generate(sampling.prompt, sampling.options)
  const { text: everySampler } = await model.generate(sampling.prompt, sampling.everySampler)
  const together = await allTogether(model)
  const { scoresHash: scores } = await evaluateTask(model, task.name, task.file, { shots: 1 })
  await model.close()
  const inBytes = await load({ kvFormat: 'q8' })
  const q8 = { fresh: sha256(await inBytes.logits(tokens)), reused: sha256(await withReuse(inBytes)) }
  await inBytes.close()
  console.log(JSON.stringify({ runtime, kernels: model.kernels, cell, fresh, reused, text, everySampler, together, scores, q8 }))
}

/** Room for one token's experts: they come and go. */
async function leastRam(options) {
  const refusal = await MixtralModel.load('demo', { ...options, ram: 1 }).then(String, (error) => error.message)
  return Number(/expected at least .*? \((\d+) bytes\)/.exec(refusal)[1])
}

/**
 * The logits after every token, the last first: each call shares its prefix with the one before, so all but the first
 * run one token, on keys and values that were computed in steps of the batch size. (tokens, vocabulary)
 */
async function withReuse(model) {
  const { vocabSize } = model.config
  const all = new Float32Array(tokens.length * vocabSize)
  await model.reset()
  for (let n = tokens.length; n > 0; n--) all.set(await model.evaluate(tokens.slice(0, n)), (n - 1) * vocabSize)
  return all
}

/** The same calls at the same time, in steps that they share, on an empty cache: what each gives. */
async function allTogether(model) {
  await model.reset()
  const [logits, first, second, reused] = await Promise.all([
    model.logits(tokens),
    model.generate(sampling.prompt, sampling.options),
    model.generate(sampling.prompt, sampling.everySampler),
    model.evaluate(tokens),
  ])
  const last = logits.subarray(logits.length - reused.length)
  return { fresh: sha256(logits), same: last.every((logit, i) => logit === reused[i]), text: first.text, everySampler: second.text }
}

/** The hash of logits: (tokens, vocabulary) little-endian float32. */
function sha256(logits) {
  return createHash('sha256').update(new Uint8Array(logits.buffer)).digest('hex')
}
