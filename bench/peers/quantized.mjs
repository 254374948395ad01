// node quantized.mjs [--types IQ3_M,IQ3_XS] [--windows N] [--json]
// The demo model in every type of `mixtral quantize`, with an importance matrix, beside the files that llama.cpp makes
// with the same one (llama_model_quantize of node-llama-cpp's library): whether each tensor has the same type, the
// weighted root mean square of the errors, perplexity and divergence from F16, in all windows of the text or N. Needs
// python3, which calls the library. Ends with 1 if types differ, an error is above 1.03 times llama.cpp's, or a
// perplexity above 1.02 times.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fileTypeNumber } from '../../dist/format/gguf/fileType.js'
import { openGguf } from '../../dist/format/gguf/openGguf.js'
import { formats } from '../../dist/format/quants/formats.js'
import {
  LogitsFile,
  MixtralModel,
  measureDivergence,
  measurePerplexity,
  quantizeModel,
  quantizeTypes,
  readImatrix,
} from '../../dist/index.js'
import { readCommandLine } from '../commandLine.mjs'
import { Ggml } from './ggml.mjs'

const most = { error: 1.03, perplexity: 1.02 }
const options = { types: { type: 'string' }, windows: { type: 'string' }, json: { type: 'boolean' } }
const { values, refuse } = readCommandLine(import.meta.url, options)
const all = quantizeTypes.filter((type) => type !== 'copy' && type !== 'F16')
const types = values.types?.split(',') ?? all
const unknown = types.find((type) => !all.includes(type))
if (unknown !== undefined) refuse(`--types: found ${unknown}, expected some of ${all.join(',')}`)

const golden = (name) => fileURLToPath(new URL(`../../test/golden/${name}`, import.meta.url))
const original = golden('models/tiny-mixtral.F16.gguf')
const matrix = golden('imatrix/tiny-mixtral.imatrix.gguf')
const text = readFileSync(golden('demo/eval.txt'), 'utf8').trimEnd()
const contextLength = 256
const windows = values.windows === undefined ? undefined : Number(values.windows)
if (windows !== undefined && !(Number.isInteger(windows) && windows > 0))
  refuse(`--windows: found ${values.windows}, expected a whole number`)
const folder = mkdtempSync(join(tmpdir(), 'quantized-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/** Means of the importance matrix, all in one file, and the place of each tensor's in it, as ggml.py wants them. */
async function importanceFile() {
  const { entries } = await readImatrix(matrix)
  const places = []
  const parts = []
  let offset = 0
  for (const [name, { columns, sums, counts }] of entries) {
    const means = Float32Array.from(sums, (sum, i) => sum / counts[Math.floor(i / columns)])
    places.push([name, offset, means.length])
    parts.push(Buffer.from(means.buffer))
    offset += means.length
  }
  const importances = join(folder, 'importances.f32')
  writeFileSync(importances, Buffer.concat(parts))
  return { entries, importances, places }
}

async function openTensors(path) {
  const { tensors, files } = await openGguf(path)
  const contents = files.map((file) => readFileSync(file.path))
  const read = (name) => {
    const { type, shape, file, offset, bytes } = tensors.get(name)
    const out = new Float32Array(shape.reduce((product, size) => product * size))
    formats.get(type.name).dequantize(contents[file].subarray(offset, offset + bytes), out)
    return out
  }
  return { types: new Map([...tensors.values()].map(({ name, type }) => [name, type.name])), read }
}

/** The weighted root mean square of a tensor's errors; without an entry in the matrix, all columns count alike. */
function weighedError(x, y, entry) {
  const { columns, sums, counts } = entry ?? { columns: 1, sums: [1], counts: [1] }
  const perMatrix = x.length / counts.length
  let [squares, weights] = [0, 0]
  for (let i = 0; i < x.length; i++) {
    const m = Math.floor(i / perMatrix)
    const weight = sums[m * columns + (i % columns)] / counts[m]
    squares += weight * (x[i] - y[i]) ** 2
    weights += weight
  }
  return Math.sqrt(squares / weights)
}

async function judge(path, base) {
  const model = await MixtralModel.load(path, { contextLength })
  try {
    const { perplexity, divergence } = await measureDivergence(model, base)
    return { perplexity: perplexity.value, divergence: divergence.mean.value }
  } finally {
    await model.close()
  }
}

const { entries, importances, places } = await importanceFile()
const source = await openTensors(original)
const stored = join(folder, 'F16.kld')
const exact = await MixtralModel.load(original, { contextLength })
const { perplexity: exactly } = await measurePerplexity(exact, text, { contextLength, saveLogits: stored, ...(windows && { windows }) })
await exact.close()
const base = await LogitsFile.open(stored)
const say = (line) => values.json || process.stdout.write(`${line}\n`)
const ggml = new Ggml()
const rows = []
say(`perplexity of F16: ${exactly.value.toFixed(4)}`)
say('            types   error: all  worst   perplexity   here      ratio   divergence   here')
for (const type of types) {
  const [here, there] = ['here', 'there'].map((name) => join(folder, `${name}.gguf`))
  await quantizeModel(original, here, type, { imatrix: matrix })
  await ggml.ask({ call: 'quantize', input: original, output: there, file_type: fileTypeNumber(type), threads: 1, importances, places })
  const [ours, theirs] = [await openTensors(here), await openTensors(there)]
  const otherTypes = [...theirs.types].filter(([name, found]) => ours.types.get(name) !== found)
  const logErrors = []
  let worst = { ratio: 0 }
  for (const [name, found] of ours.types) {
    if (found === 'F32' || theirs.types.get(name) !== found) continue
    const x = source.read(name)
    const ratio = weighedError(x, ours.read(name), entries.get(name)) / weighedError(x, theirs.read(name), entries.get(name))
    logErrors.push(Math.log(ratio))
    if (ratio > worst.ratio) worst = { tensor: name, ratio }
  }
  const error = Math.exp(logErrors.reduce((sum, value) => sum + value, 0) / logErrors.length)
  const [mine, other] = [await judge(here, base), await judge(there, base)]
  const ratio = mine.perplexity / other.perplexity
  const right = otherTypes.length === 0 && worst.ratio <= most.error && ratio <= most.perplexity
  rows.push({ type, right, otherTypes, error, worst, here: mine, llamaCpp: other, perplexityRatio: ratio })
  const perplexities = `${other.perplexity.toFixed(4).padStart(10)}${mine.perplexity.toFixed(4).padStart(10)}${ratio.toFixed(4).padStart(9)}`
  const divergences = `${other.divergence.toFixed(5).padStart(12)}${mine.divergence.toFixed(5).padStart(10)}`
  const same = otherTypes.length === 0 ? 'same' : `${otherTypes.length} differ`
  say(
    `${type.padEnd(8)} ${same.padStart(9)}   ${error.toFixed(3)}      ${worst.ratio.toFixed(3)}  ${perplexities} ${divergences}${right ? '' : '  WRONG'}`,
  )
  for (const [name, found] of otherTypes) say(`         ${name}: ${found}, here ${ours.types.get(name)}`)
}
ggml.close()
await base.close()
if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`)
process.exitCode = rows.every(({ right }) => right) ? 0 : 1
