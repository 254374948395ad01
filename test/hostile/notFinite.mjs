// Models with one value that is not finite, in every role of a tensor and every type, all in memory and streamed: each
// is refused when it is loaded, or verify finds it, by the name of its tensor. The oracles say what is not finite.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { encodeHeader } from '../../dist/format/gguf/encodeHeader.js'
import { formats } from '../../dist/format/quants/formats.js'
import { MixtralModel, verifyModel } from '../../dist/index.js'
import { Random } from './random.mjs'
import { ggufBytes, metadataOf, tensorsOf } from './tinyModel.mjs'

const sizes = { hidden: 256, intermediate: 256, headDim: 64, heads: 4, kvHeads: 2, experts: 2, used: 1 }
const GOOD_BLOCKS = 8

/** Blocks of a type whose weights are finite and small, or of which one is not finite. */
function blocksOf({ type, dequantize }, random, isWanted) {
  const weights = new Float32Array(type.blockWeights)
  for (let n = 0; n < 1_000_000; n++) {
    const block = Uint8Array.from({ length: type.blockBytes }, () => random.bits() & 255)
    dequantize(block, weights)
    if (isWanted(weights)) return block
  }
  throw new Error(`no such block of ${type.name}`)
}

const isSmall = (weights) => weights.every((weight) => Math.abs(weight) < 1) && weights.some((weight) => Math.abs(weight) > 0.1)
const isBad = (weights) => weights.some((weight) => !Number.isFinite(weight))

/** The file of a model whose matrices are of one type, and the places of its tensors. */
function modelOf(format, random) {
  const plan = { metadata: metadataOf(sizes), tensors: tensorsOf(sizes, () => format.type.name) }
  const good = Array.from({ length: GOOD_BLOCKS }, () => blocksOf(format, random, isSmall))
  const fill = (_, bytes) => {
    const { blockBytes } = format.type
    for (let at = 0; at < bytes.length; at += blockBytes) bytes.set(good[(at / blockBytes) % GOOD_BLOCKS], at)
  }
  const roles = new Map(plan.tensors.map(({ name, role }) => [name, role]))
  const places = encodeHeader(plan).tensors.map((tensor) => ({ ...tensor, role: roles.get(tensor.name) }))
  return { file: ggufBytes(plan, fill), places }
}

/** The code of the refusal or `verify`, or what is wrong. */
async function outcomeOf(file, name, options) {
  let model
  try {
    model = await MixtralModel.load(file, { threads: 1, contextLength: 32, ...options })
    const { faults } = await verifyModel(model, [1, 5, 260])
    if (faults.some(({ tensor }) => tensor.startsWith(name))) return { by: 'verify' }
    return { problem: `taken as fine; verify finds ${JSON.stringify(faults.slice(0, 3))}` }
  } catch (error) {
    if (error.code && error.message.includes(name)) return { by: error.code }
    return { problem: `not named: ${error.stack}` }
  } finally {
    await model?.close()
  }
}

async function leastRam(file) {
  const { message } = await MixtralModel.load(file, { threads: 1, contextLength: 32, ram: 1 }).then(
    () => ({ message: '' }),
    (error) => error,
  )
  return Number(/\((\d+) bytes\)/.exec(message)?.[1])
}

/** Tries all of them. Returns the number of faults. */
export async function tryNotFinite({ seed, types = [...formats.keys()], say }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hostile-nan-'))
  const file = path.join(folder, 'model.gguf')
  let [tried, faults] = [0, 0]
  const by = new Map()
  try {
    for (const name of types) {
      const format = formats.get(name)
      const random = new Random(`${seed} ${name}`)
      const { file: bytes, places } = modelOf(format, random)
      fs.writeFileSync(file, bytes)
      const whole = await MixtralModel.load(file, { threads: 1, contextLength: 32 })
      const before = await verifyModel(whole, [1, 5, 260])
      await whole.close()
      if (before.faults.length > 0)
        throw new Error(`the model of ${name} has faults before it is damaged: ${JSON.stringify(before.faults.slice(0, 5))}`)
      const ram = await leastRam(file)
      for (const place of places) {
        // Vectors and the router are F32 in every model: once is enough.
        if (place.type.name !== name && name !== types[0]) continue
        const bad = blocksOf(formats.get(place.type.name), random, isBad)
        const at = place.offset + place.type.blockBytes * random.below(place.bytes / place.type.blockBytes)
        const damaged = Uint8Array.from(bytes)
        damaged.set(bad, at)
        for (const [how, options] of Object.entries({ resident: {}, streamed: { ram } })) {
          fs.writeFileSync(file, damaged)
          const { by: found, problem } = await outcomeOf(file, place.name, options)
          tried++
          if (found) by.set(`${found} ${how}`, (by.get(`${found} ${how}`) ?? 0) + 1)
          if (!problem) continue
          faults++
          say(`FAULT ${place.name} of ${place.type.name}, ${how}, seed ${seed}, byte ${at}: ${problem}`)
        }
      }
    }
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
  const how = [...by].map(([name, count]) => `${name}: ${count}`).join(', ')
  say(`${tried} models with a value that is not finite, of ${types.length} types, seed ${seed}: ${faults} faults (${how})`)
  return faults
}
