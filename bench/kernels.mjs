// npm run bench -- [--format Q4_K,Q6_K] [--build simd|relaxed-simd] [--quick] [--json]
// Speed of each kernel, format, build and token batch on one thread, every result checked before it is timed. Owns the
// command line, the clock and the table; the cases are in kernelCases.mjs. How to read it: README.md.

import os from 'node:os'
import { Piscina } from 'piscina'
import { Bench } from 'tinybench'
import { compileBuild, hasRelaxedSimd, instantiate } from '../dist/runtime/kernels/compile.js'
import { packings } from '../dist/runtime/kernels/packing.js'
import { readCommandLine } from './commandLine.mjs'
import { attentionCases, BenchMemory, formatNames, matmulCases, quantizeCases } from './kernelCases.mjs'

const buildNames = ['simd', 'relaxed-simd']

async function main({ formats, builds, rest, quick, json }) {
  const compiled = new Map()
  for (const build of builds) {
    if (build === 'relaxed-simd' && !(await hasRelaxedSimd())) process.stderr.write('relaxed-simd: this engine has none, skipped\n')
    else compiled.set(build, (memory) => instantiate(compileBuild(build), memory))
  }
  if (compiled.size === 0) throw new Error('no build to measure')
  const report = { machine: machine(), runtime: runtime(), results: [] }
  const show = (result) => {
    report.results.push(result)
    if (!json) process.stdout.write(`${tableRow(result)}\n`)
  }
  if (!json) process.stdout.write(`${report.machine}; ${report.runtime}\n\n${tableHead}\n`)
  for (const kernelCase of allCases(new BenchMemory(compiled), formats, rest)) {
    const { name, build, data, bytes, multiplyAdds, run } = kernelCase
    const { seconds, spread } = await time(run, quick)
    const gigaMultiplyAdds = multiplyAdds ? multiplyAdds / seconds / 1e9 : null
    show({ name, build, data, seconds, spread, gigabytesPerSecond: bytes / seconds / 1e9, gigaMultiplyAddsPerSecond: gigaMultiplyAdds })
  }
  if (rest) {
    const cost = await timePool(quick)
    show({ name: 'pool round trip', build: '-', data: 'empty task', ...cost, gigabytesPerSecond: null, gigaMultiplyAddsPerSecond: null })
  }
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`)
}

function* allCases(memory, formats, rest) {
  for (const format of formats) yield* matmulCases(memory, format)
  const kinds = new Set(formats.map((format) => packings[format].activation))
  for (const kind of kinds) if (kind !== 'f32') yield* quantizeCases(memory, kind)
  if (rest) for (const positions of [512, 4096]) yield* attentionCases(memory, positions)
}

/**
 * Median time of a call, and the median distance from it as a fraction. The warm-up is for V8, which compiles a kernel
 * well only after some calls.
 */
async function time(run, quick) {
  const bench = new Bench({ time: quick ? 100 : 500, iterations: 5, warmupTime: quick ? 100 : 250, warmupIterations: 5, throws: true })
  bench.add('kernel', run)
  const [task] = await bench.run()
  const { p50, mad } = task.result.latency
  return { seconds: p50 / 1e3, spread: mad / p50 }
}

async function timePool(quick) {
  const pool = new Piscina({ filename: new URL('./emptyTask.js', import.meta.url).href, minThreads: 1, maxThreads: 1 })
  try {
    return await time(() => pool.run(null), quick)
  } finally {
    await pool.destroy()
  }
}

function readOptions() {
  const flag = { type: 'boolean', default: false }
  const options = { format: { type: 'string' }, build: { type: 'string' }, quick: flag, json: flag }
  const { values, refuse } = readCommandLine(import.meta.url, options)
  const formats = values.format?.split(',') ?? formatNames
  const builds = values.build === undefined ? buildNames : [values.build]
  for (const format of formats) {
    if (!formatNames.includes(format)) refuse(`--format: found ${format}, expected some of ${formatNames.join(', ')}`)
  }
  if (!buildNames.includes(builds[0])) refuse(`--build: found ${builds[0]}, expected ${buildNames.join(' or ')}`)
  return { formats, builds, rest: values.format === undefined, quick: values.quick, json: values.json }
}

function machine() {
  const cpus = os.cpus()
  return `${cpus[0]?.model.trim() ?? 'unknown CPU'}, ${cpus.length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB`
}

function runtime() {
  const { bun, deno, node, v8 } = process.versions
  if (bun) return `Bun ${bun}`
  return deno ? `Deno ${deno} (V8 ${v8})` : `Node ${node} (V8 ${v8})`
}

const widths = [21, 14, 16, 10, 8, 8, 10]
const columns = (cells) => cells.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('')
const tableHead = columns(['kernel', 'build', 'data', 'time', 'spread', 'GB/s', 'G madd/s'])

function tableRow({ name, build, data, seconds, spread, gigabytesPerSecond, gigaMultiplyAddsPerSecond }) {
  const number = (value) => (value === null ? '' : value.toFixed(2))
  const micros = `${(seconds * 1e6).toFixed(1)} us`
  return columns([
    name,
    build,
    data,
    micros,
    `${(spread * 100).toFixed(1)} %`,
    number(gigabytesPerSecond),
    number(gigaMultiplyAddsPerSecond),
  ])
}

try {
  await main(readOptions())
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
