// Saved sessions with keys and values of 8 and of 16 bits, damaged behind a right hash: a model takes them up and goes
// on. What it computes from wrong keys is wrong, and is still a number or an error by name.

import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralModel } from '../../../dist/index.js'
import { mutateBytes } from '../mutations.mjs'

const formats = ['q8', 'f16']
const HASH_BYTES = 32
const tokens = [1, ...Array.from({ length: 70 }, (_, i) => 300 + i)]

const opened = new Map()
/** A model of the format, and the bytes of a session of its own, without their hash. */
async function modelOf(format, folder) {
  if (opened.has(format)) return opened.get(format)
  const model = await MixtralModel.load('demo', { threads: 1, contextLength: 128, kvFormat: format })
  const file = path.join(folder, `${format}.session`)
  await model.session({ ids: tokens }).save(file, { metadata: { a: 1 } })
  const whole = await fs.readFile(file)
  const state = { model, bytes: whole.subarray(0, -HASH_BYTES) }
  opened.set(format, state)
  return state
}

/** The first byte is the format; of the rest, what is changed: (place, byte), in 5 bytes each, or all of the file. */
export const restores = {
  name: 'restores',
  share: 0.1,
  threads: true,
  async make(random, folder) {
    const which = random.below(formats.length)
    const { bytes } = await modelOf(formats[which], folder)
    if (random.chance(0.3)) return Buffer.concat([Uint8Array.of(which + 2), mutateBytes(random, bytes)])
    const edits = Array.from({ length: random.few(8) }, () => {
      const edit = Buffer.alloc(5)
      edit.writeUInt32LE(random.chance(0.3) ? random.size(bytes.length - 1) : random.below(bytes.length))
      edit[4] = random.pick([0, 127, 128, 255, 124, random.below(256)])
      return edit
    })
    return Buffer.concat([Uint8Array.of(which), ...edits])
  },
  async use(input, folder) {
    const { model, bytes } = await modelOf(formats[input[0] % 2], folder)
    const body = input[0] >= 2 ? input.subarray(1) : Uint8Array.from(bytes)
    if (input[0] < 2) for (let i = 1; i + 5 <= input.length; i += 5) body[Buffer.from(input).readUInt32LE(i) % body.length] = input[i + 4]
    const file = path.join(folder, 'damaged.session')
    await fs.writeFile(file, Buffer.concat([body, createHash('sha256').update(body).digest()]))
    await model.reset()
    const { session } = await model.restore(file)
    try {
      const logits = await model.evaluate([...session.ids, 400])
      if (logits.some((value) => !Number.isFinite(value))) throw new Error('a logit that is not finite')
    } finally {
      await session.close()
    }
  },
  async close() {
    for (const { model } of opened.values()) await model.close()
    opened.clear()
  },
}
