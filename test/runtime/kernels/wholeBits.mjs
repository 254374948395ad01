// node wholeBits.mjs
// Prints, for each build, a digest of products of the same random weights and tokens, by all kernels that the processor
// has twice. For wholeBytes.test.ts, which gives V8 its flags.

import { createHash } from 'node:crypto'
import { formats } from '../../../dist/format/quants/formats.js'
import { compileBuild, hasRelaxedSimd, instantiate } from '../../../dist/runtime/kernels/compile.js'
import { packings } from '../../../dist/runtime/kernels/packing.js'

/** Where the halves of a block are. */
const halves = { IQ4_NL: [0], IQ4_XS: [0], Q4_K: [0, 2], Q5_K: [0, 2], Q6_K: [208] }
const ROWS = 72
const COLUMNS = 1024
const at = { file: 2 ** 16, x: 2 ** 19, packed: 2 ** 20, tokens: 2 ** 21, out: 3 * 2 ** 20 }

let state = 1
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state >>> 16
}

function digest(build) {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true })
  const kernels = instantiate(compileBuild(build), memory)
  const hash = createHash('sha256')
  state = 1
  for (const [name, places] of Object.entries(halves)) {
    const bytes = formats.get(name).type.blockBytes
    const packing = packings[name]
    const blocks = COLUMNS / packing.blockWeights
    const file = Uint8Array.from({ length: ROWS * blocks * bytes }, random)
    for (let block = 0; block < file.length; block += bytes)
      for (const place of places) file.set([random(), 0x20 + (random() & 0x1f)], block + place) // positive, below 8
    new Uint8Array(memory.buffer).set(file, at.file)
    packing.repack(kernels)(at.file, ROWS, blocks, at.packed)
    const tokens = [0, 1, 2, 3].map((token) => {
      const x = Float32Array.from({ length: COLUMNS }, () => (token ? random() - 32768 : random() & 1 ? 5 : -5))
      new Float32Array(memory.buffer).set(x, at.x / 4)
      const row = at.tokens + token * 8192
      kernels[`quantize_${packing.activation}`](at.x, blocks, row, blocks, 0)
      return row
    })
    const outs = tokens.map((_, i) => at.out + i * 4096)
    const take = (out) => hash.update(new Uint8Array(memory.buffer, out, ROWS * 4).slice())
    packing.x1(kernels)(at.packed, ROWS / 4, blocks, tokens[0], outs[0])
    take(outs[0])
    for (const x4 of [packing.x4(kernels), packing.tall(kernels)]) {
      x4?.(at.packed, ROWS / 4, blocks, ...tokens, ...outs)
      for (const out of outs) take(out)
    }
    packing.x2(kernels)?.(at.packed, ROWS / 4, blocks, tokens[1], tokens[0], outs[0], outs[1])
    for (const out of outs) take(out)
  }
  return hash.digest('hex')
}

for (const build of (await hasRelaxedSimd()) ? ['simd', 'relaxed-simd'] : ['simd']) console.log(digest(build))
