// npm run synth -- --layers N --type Q4_K_M|Q8_0 [--vocab N] [--experts N] [--seed N] OUT
// Writes a Mixtral-8x7B-shaped GGUF with random weights. Owns the command line and the file's name; the model is syntheticModel.mjs's.

import { renameSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { fileTypes, writeSyntheticModel } from './syntheticModel.mjs'

const usage = `usage: npm run synth -- --layers N --type ${Object.keys(fileTypes).join('|')} [--vocab N] [--experts N] [--seed N] OUT`

function fail(message, exitCode) {
  process.stderr.write(`${message}\n`)
  process.exit(exitCode)
}

function parse() {
  const text = { type: 'string' }
  const options = { layers: text, type: text, vocab: text, experts: text, seed: text }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const { type = 'Q4_K_M', ...numbers } = values
  if (positionals.length !== 1) throw new Error(`found ${positionals.length} file names, expected 1`)
  if (!Object.hasOwn(fileTypes, type)) throw new Error(`--type: found ${type}, expected ${Object.keys(fileTypes).join(' or ')}`)
  if (numbers.layers === undefined) throw new Error('--layers is missing')
  const least = { layers: 1, vocab: 259, experts: 2, seed: 0 }
  const counts = Object.entries(numbers).map(([name, value]) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < least[name])
      throw new Error(`--${name}: found ${value}, expected a whole number from ${least[name]}`)
    return [name, number]
  })
  return { path: positionals[0], options: { type, ...Object.fromEntries(counts) } }
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

let args
try {
  args = parse()
} catch (error) {
  fail(`${error.message}\n${usage}`, 2)
}
// The final name only ever stands for a whole file.
const part = `${args.path}.part`
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.once(signal, () => {
    rmSync(part, { force: true })
    process.exit(code)
  })
}
try {
  const onProgress = process.stderr.isTTY ? showProgress(performance.now()) : undefined
  await writeSyntheticModel(part, { ...args.options, onProgress })
  renameSync(part, args.path)
} catch (error) {
  rmSync(part, { force: true })
  fail(error.message, 1)
}
