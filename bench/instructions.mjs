// node bench/instructions.mjs [--build simd] [--json]
// How many instructions of WebAssembly the innermost loop of each matrix product has: vector instructions, loads of
// scalars and arithmetic with scalars, in the build that is named, or relaxed-simd. Constants and local variables do
// not count. Kernels of rows that stand alone (IQ1, IQ2, IQ3 in the compact layout) are told for 32 weights of one row,
// too.

import { readFileSync } from 'node:fs'
import binaryen from 'assemblyscript/binaryen'
import { readCommandLine } from './commandLine.mjs'

const options = { build: { type: 'string', default: 'relaxed-simd' }, json: { type: 'boolean' } }
const { values, refuse } = readCommandLine(import.meta.url, options)
const builds = ['simd', 'relaxed-simd']
if (!builds.includes(values.build)) refuse(`--build: found ${values.build}, expected ${builds.join(' or ')}`)
const module = binaryen.readBinary(readFileSync(new URL(`../dist/runtime/kernels/${values.build}.wasm`, import.meta.url)))
const text = module.emitText()

/** The expression that begins at the parenthesis at `start`. */
function expressionAt(source, start) {
  let depth = 0
  for (let i = start; i < source.length; i++) {
    if (source[i] === '(') depth++
    else if (source[i] === ')' && --depth === 0) return source.slice(start, i + 1)
  }
}

const loopsOf = (source) => [...source.matchAll(/\(loop/g)].map(({ index }) => expressionAt(source, index))

function countsOf(loop) {
  const names = [...loop.matchAll(/\((v128|i8x16|i16x8|i32x4|i64x2|f32x4|i32|i64|f32)\.(\w+)/g)].map(([, type, name]) => `${type}.${name}`)
  const all = names.filter((name) => !name.endsWith('.const'))
  const scalars = all.filter((name) => /^(i32|i64|f32)\./.test(name))
  const loads = scalars.filter((name) => name.includes('.load'))
  return { vectors: all.length - scalars.length, loads: loads.length, scalars: scalars.length - loads.length }
}

/** Units of 32 weights of one row in the innermost loop: 8 rows of 128 columns with one token, 2 units with four. */
const UNITS = { x1: 32, x4: 2 }
const rows = []
for (const [, name, own] of text.matchAll(/\(export "matmul_(\w+)" \(func ([^)]+)\)\)/g)) {
  const source = expressionAt(text, text.search(new RegExp(`\\(func ${own.replaceAll('$', '\\$')}[ \\n]`)))
  const innermost = loopsOf(source).filter((loop) => !loop.includes('(loop', 1))
  const counts = innermost.map(countsOf).sort((a, b) => b.vectors - a.vectors)[0]
  if (!counts) continue
  const [, tokens] = /^iq[123]_\w+_(x[14])$/.exec(name) ?? []
  const isCompact = tokens !== undefined && !name.includes('expanded')
  const per32 = isCompact && Object.fromEntries(Object.entries(counts).map(([kind, count]) => [kind, count / UNITS[tokens]]))
  rows.push({ name, ...counts, ...(per32 && { per32 }) })
}
if (values.json) console.log(JSON.stringify(rows))
else {
  const line = (name, { vectors, loads, scalars }, digits) => {
    const cells = [vectors, loads, scalars].map((count) => count.toFixed(digits).padStart(8))
    return `${name.padEnd(24)}${cells.join('')}`
  }
  console.log(`${'innermost loop'.padEnd(24)} vectors   loads scalars`)
  for (const row of rows) console.log(line(row.name, row, 0))
  console.log('\n32 weights of one row')
  for (const row of rows) if (row.per32) console.log(line(row.name, row.per32, 1))
}
