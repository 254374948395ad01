// node encoding.mjs [--types IQ4_NL,Q2_K] [--rounds N] [--rows N] [--json]
// How fast weights are encoded, beside ggml's own ggml_quantize_chunk out of node-llama-cpp's library: random Gaussian
// rows of 4096 with an importance of each column, one thread, processor time, by turns, medians. Also the weighted root
// mean square of the errors of both. Needs python3, which calls the library.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formats } from '../../dist/format/quants/formats.js'
import { ENCODE_ROOM, ENCODE_TABLES, EncodeTables, encoderOf, openEncoders } from '../../dist/runtime/kernels/encoders.js'
import { readCommandLine } from '../commandLine.mjs'
import { Ggml } from './ggml.mjs'

const text = { type: 'string' }
const { values, refuse } = readCommandLine(import.meta.url, { types: text, rounds: text, rows: text, json: { type: 'boolean' } })
const all = [...formats.values()].filter(({ type, encode }) => encode && type.blockWeights > 1).map(({ type }) => type.name)
const names = values.types?.split(',') ?? all
const unknown = names.find((name) => !all.includes(name))
if (unknown !== undefined) refuse(`--types: found ${unknown}, expected some of ${all.join(',')}`)
const [rounds, rows] = ['rounds', 'rows'].map((name) => {
  const number = Number(values[name] ?? { rounds: 7, rows: 64 }[name])
  if (!Number.isInteger(number) || number < 1) refuse(`--${name}: found ${values[name]}, expected a whole number from 1`)
  return number
})

const columns = 4096
const weights = rows * columns
const room = 65536
const source = room + ENCODE_ROOM
const important = source + weights * 4
const target = important + weights * 4
const start = target + weights * 4 + 65536
const { encoders, memory } = openEncoders(start + ENCODE_TABLES)
const tables = new EncodeTables(memory, start)
const x = new Float32Array(memory.buffer, source, weights)
const importance = new Float32Array(memory.buffer, important, weights)

/** Two independent Gaussians at a time, from a seed. */
function fillGaussian(out, deviation, seed) {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  for (let i = 0; i < out.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(uniform()))
    const angle = 2 * Math.PI * uniform()
    out[i] = radius * Math.cos(angle)
    out[i + 1] = radius * Math.sin(angle)
  }
}

fillGaussian(x, 0.02, 1)
// squares of columns differ as those of real inputs do: most are alike, some many times larger
const column = new Float32Array(columns)
fillGaussian(column, 1, 2)
const squares = column.map((value) => Math.exp(value))
const mean = squares.reduce((sum, value) => sum + value, 0) / columns
for (let i = 0; i < weights; i++) importance[i] = squares[i % columns] / mean

const folder = mkdtempSync(join(tmpdir(), 'encoding-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const files = { values: join(folder, 'x.f32'), importance: join(folder, 'importance.f32'), out: join(folder, 'out.bin') }
writeFileSync(files.values, new Uint8Array(memory.buffer, source, weights * 4))
writeFileSync(files.importance, new Uint8Array(memory.buffer, important, columns * 4))

/** Seconds of this process's processor time. The output is then at `target`. */
function encodeHere({ type, encode }) {
  const kernel = encoderOf(encoders, type.name)
  const before = process.cpuUsage()
  if (kernel) kernel(source, weights / type.blockWeights, target, room, important, tables.addressOf(type.name))
  else encode(x, new Uint8Array(memory.buffer, target, (weights / type.blockWeights) * type.blockBytes), importance)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

function weighedError({ dequantize }, blocks) {
  const y = new Float32Array(weights)
  dequantize(blocks, y)
  let [sum, total] = [0, 0]
  for (let i = 0; i < weights; i++) {
    sum += importance[i] * (x[i] - y[i]) ** 2
    total += importance[i]
  }
  return Math.sqrt(sum / total)
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]
const say = (line) => values.json || process.stdout.write(`${line}\n`)
const ggml = new Ggml()
const results = []
say("            here    ggml   ratio   error, of ggml's")
for (const name of names) {
  const format = formats.get(name)
  const seconds = { here: [], ggml: [] }
  for (let round = 0; round <= rounds; round++) {
    const here = encodeHere(format)
    const there = (await ggml.ask({ call: 'encode', type: format.type.id, rows, columns, ...files })).seconds
    if (round === 0) continue // warms up
    seconds.here.push(here)
    seconds.ggml.push(there)
  }
  const bytes = (weights / format.type.blockWeights) * format.type.blockBytes
  const error = weighedError(format, new Uint8Array(memory.buffer, target, bytes)) / weighedError(format, readFileSync(files.out))
  const [here, there] = [seconds.here, seconds.ggml].map((list) => weights / median(list) / 1e6)
  results.push({ type: name, here, ggml: there, ratio: here / there, error, kernel: encoderOf(encoders, name) !== undefined })
  const speeds = [here, there, here / there].map((value) => value.toFixed(2).padStart(8)).join('')
  say(`${name.padEnd(8)}${speeds}   ${error.toFixed(4)}`)
}
ggml.close()
if (values.json) process.stdout.write(`${JSON.stringify({ node: process.version, rows, columns, rounds, results })}\n`)
