// node bench/divergence.mjs [FOLDER] [--picture FILE] [--windows N] [--json]
// How far each type of weights moves the demo model's predictions from those of F16, beside the file's size: the files
// in FOLDER (default: test/golden/models, which llama-quantize wrote), and those that `mixtral quantize` writes with
// the importance matrix of test/golden. The divergence is that of `mixtral perplexity --kl` over
// test/golden/demo/eval.txt in windows of 256, all of them or N. With --picture, draws them as an SVG for the
// documents.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LogitsFile, MixtralModel, measureDivergence, measurePerplexity, quantizeModel, quantizeTypes } from '../dist/index.js'
import { readCommandLine } from './commandLine.mjs'
import { scatterPicture } from './scatterPicture.mjs'

const options = { picture: { type: 'string' }, windows: { type: 'string' }, json: { type: 'boolean' } }
const { values, positionals, refuse } = readCommandLine(import.meta.url, options, [0, 1])
const golden = (name) => fileURLToPath(new URL(`../test/golden/${name}`, import.meta.url))
const given = positionals[0] ?? golden('models')
const original = golden('models/tiny-mixtral.F16.gguf')
const folder = mkdtempSync(join(tmpdir(), 'divergence-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const say = (line) => values.json || process.stdout.write(`${line}\n`)

const contextLength = 256
const windows = values.windows === undefined ? undefined : Number(values.windows)
if (windows !== undefined && !(Number.isInteger(windows) && windows > 0))
  refuse(`--windows: found ${values.windows}, expected a whole number`)
const stored = join(folder, 'F16.kld')
const exact = await MixtralModel.load(original, { contextLength })
await measurePerplexity(exact, readFileSync(golden('demo/eval.txt'), 'utf8').trimEnd(), {
  contextLength,
  saveLogits: stored,
  ...(windows && { windows }),
})
await exact.close()
const base = await LogitsFile.open(stored)

async function measure(type, by, path) {
  const model = await MixtralModel.load(path, { contextLength })
  const { divergence, perplexity, sameTop } = await measureDivergence(model, base)
  await model.close()
  const row = { type, by, bytes: statSync(path).size, divergence: divergence.mean, perplexity: perplexity.value, sameTop: sameTop.value }
  const figures = `${(row.bytes / 1e6).toFixed(2).padStart(6)} MB  ${divergence.mean.value.toFixed(5)} ± ${divergence.mean.error.toFixed(5)}`
  say(
    `${type.padEnd(10)} ${by.padEnd(16)} ${figures}  perplexity ${perplexity.value.toFixed(3)}  same first choice ${(100 * sameTop.value).toFixed(1)} %`,
  )
  return row
}

const kinds = [
  { by: 'mixtral quantize', label: 'mixtral quantize --imatrix', color: '#0b7a6d', filled: true },
  { by: 'llama-quantize', label: 'llama-quantize', color: '#b4541a', filled: false },
]
const rows = []
for (const type of quantizeTypes.filter((name) => name !== 'copy' && name !== 'F16')) {
  const path = join(folder, 'written.gguf')
  await quantizeModel(original, path, type, { imatrix: golden('imatrix/tiny-mixtral.imatrix.gguf') })
  rows.push(await measure(type, kinds[0].by, path))
}
for (const name of readdirSync(given).sort()) {
  const type = /^tiny-mixtral\.(\w+)\.gguf$/.exec(name)?.[1]
  if (type !== undefined && type !== 'F16') rows.push(await measure(type, kinds[1].by, join(given, name)))
}
await base.close()
if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`)

if (values.picture !== undefined) {
  const points = rows.map(({ type, by, bytes, divergence }) => {
    const kind = kinds.findIndex((one) => one.by === by)
    const named = kind === 0 || !rows.some((other) => other.type === type && other.by === kinds[0].by)
    return { x: bytes / 1e6, y: divergence.value, kind, ...(named && { name: type }) }
  })
  const x = { label: 'size of the file, MB (F16: 23.4)', from: 2.8, to: 14, ticks: [3, 4, 5, 6, 7, 8, 10, 12] }
  const y = { label: 'divergence from F16, nats per token', from: 0.0025, to: 0.8, ticks: [0.003, 0.01, 0.03, 0.1, 0.3] }
  writeFileSync(values.picture, scatterPicture(points, { x, y, kinds, title: "The demo model's types: size and divergence from F16" }))
}
