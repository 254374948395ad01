// node bench/quantize.mjs [FILE] [--json]
// How fast weights are encoded: each kernel on one thread, compared with its oracle first; then, given an F16 or F32
// file, that file to Q8_0 and Q4_K_M on one thread and on two, with the peak of memory. Weights have a model's spread;
// those of a file are its own.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { formats } from '../dist/format/quants/formats.js'
import { ENCODE_ROOM, ENCODE_TABLES, EncodeTables, encoderOf, openEncoders } from '../dist/runtime/kernels/encoders.js'
import { readCommandLine } from './commandLine.mjs'

const { values, positionals } = readCommandLine(import.meta.url, { json: { type: 'boolean' } }, [0, 1])
const say = (text) => values.json || process.stdout.write(`${text}\n`)

const WEIGHTS = 2 ** 20
const ROUNDS = 7
const source = 65536
const target = source + WEIGHTS * 4
const tables = target + WEIGHTS * 4 + 65536

function measureKernels() {
  const { encoders, memory } = openEncoders(tables + ENCODE_TABLES)
  const places = new EncodeTables(memory, tables)
  const x = new Float32Array(memory.buffer, source, WEIGHTS)
  let state = 1
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  for (let i = 0; i < WEIGHTS; i++) x[i] = (random() + random() + random() + random() - 2) * 0.03
  const names = [...formats.keys()].filter((name) => encoderOf(encoders, name))
  return names.map((name) => {
    const { type, encode } = formats.get(name)
    const kernel = encoderOf(encoders, name)
    const blocks = WEIGHTS / type.blockWeights
    const table = places.addressOf(name)
    let seconds = Number.POSITIVE_INFINITY
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now()
      kernel(source, blocks, target, source - ENCODE_ROOM, 0, table)
      seconds = Math.min(seconds, (performance.now() - start) / 1000)
    }
    const some = 2 ** 15
    const expected = new Uint8Array((some / type.blockWeights) * type.blockBytes)
    encode(x.slice(0, some), expected)
    const found = new Uint8Array(memory.buffer, target, expected.length)
    if (!expected.every((byte, i) => byte === found[i])) throw new Error(`encode_${name.toLowerCase()} is not its oracle`)
    const weightsPerSecond = WEIGHTS / seconds
    say(`encode_${name.toLowerCase().padEnd(6)} ${(weightsPerSecond / 1e6).toFixed(0).padStart(5)} million weights a second`)
    return { kernel: `encode_${name.toLowerCase()}`, weights_per_second: weightsPerSecond }
  })
}

/** In a process of its own, which tells its peak of memory. */
function measureFile(file, type, threads) {
  const folder = mkdtempSync(join(dirname(file), 'quantize-'))
  try {
    const library = new URL('../dist/index.js', import.meta.url).href
    const script = `
      const { quantizeModel } = await import(${JSON.stringify(library)})
      const start = performance.now()
      const { weights } = await quantizeModel(process.argv[1], process.argv[2], process.argv[3], { threads: Number(process.argv[4]) })
      console.log(JSON.stringify({ weights, seconds: (performance.now() - start) / 1000, peakBytes: process.resourceUsage().maxRSS * 1024 }))`
    const args = ['--input-type=module', '-e', script, file, join(folder, 'out.gguf'), type, String(threads)]
    const { weights, seconds, peakBytes } = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
    const perThread = weights / seconds / threads
    say(
      `${type} on ${threads}: ${(weights / 1e9).toFixed(2)} billion weights in ${seconds.toFixed(1)} s, ${(perThread / 1e6).toFixed(0)} million a second and thread, ` +
        `${(peakBytes / 1e6).toFixed(0)} MB at most`,
    )
    return { file, type, threads, weights, seconds, weights_per_second_per_thread: perThread, peak_bytes: peakBytes }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const kernels = measureKernels()
const files = positionals.flatMap((file) => ['Q8_0', 'Q4_K_M'].flatMap((type) => [1, 2].map((threads) => measureFile(file, type, threads))))
if (values.json) process.stdout.write(`${JSON.stringify({ node: process.version, kernels, files })}\n`)
