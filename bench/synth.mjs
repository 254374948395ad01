// npm run synth -- --layers N --type TYPE [--shape 8x7b|8x22b] [--vocab N] [--experts N] [--seed N] OUT
// Writes a GGUF in the shape of Mixtral 8x7B or 8x22B with random weights, in Q4_K_M (the default), Q8_0, F16,
// MXFP4_MOE, IQ3_XXS or IQ2_XXS. Owns the command line and the file's name; the model is syntheticModel.mjs's.

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { readCommandLine } from './commandLine.mjs'
import { fileTypes, shapes, writeSyntheticModel } from './syntheticModel.mjs'

function readOptions() {
  const text = { type: 'string' }
  const options = { layers: text, type: text, shape: text, vocab: text, experts: text, seed: text }
  const { values, positionals, refuse } = readCommandLine(import.meta.url, options, [1, 1])
  const { type = 'Q4_K_M', shape = '8x7b', ...numbers } = values
  if (!fileTypes.includes(type)) refuse(`--type: found ${type}, expected ${fileTypes.join(' or ')}`)
  if (!Object.hasOwn(shapes, shape)) refuse(`--shape: found ${shape}, expected ${Object.keys(shapes).join(' or ')}`)
  if (numbers.layers === undefined) refuse('--layers is missing')
  const least = { layers: 1, vocab: 259, experts: 2, seed: 0 }
  const counts = Object.entries(numbers).map(([name, value]) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < least[name]) refuse(`--${name}: found ${value}, expected a whole number from ${least[name]}`)
    return [name, number]
  })
  return { path: positionals[0], options: { type, ...shapes[shape], ...Object.fromEntries(counts) } }
}

function showProgress(started) {
  let shown = -1
  return (bytes, totalBytes) => {
    const percent = Math.floor((100 * bytes) / totalBytes)
    if (percent === shown) return
    shown = percent
    const speed = bytes / 1e3 / (performance.now() - started)
    process.stderr.write(`\r${percent} % of ${(totalBytes / 1e9).toFixed(2)} GB, ${speed.toFixed(0)} MB/s `)
    if (bytes === totalBytes) process.stderr.write('\n')
  }
}

const { path, options } = readOptions()
// the writer takes its draft along when the process exits
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
try {
  const onProgress = process.stderr.isTTY ? showProgress(performance.now()) : undefined
  mkdirSync(dirname(path), { recursive: true })
  await writeSyntheticModel(path, { ...options, onProgress })
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
