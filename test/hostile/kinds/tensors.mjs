// The weights of a file: bytes of tensors of every kind are damaged, and the model is loaded and runs two tokens.

import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralModel } from '../../../dist/index.js'
import { tinyGguf } from '../tinyModel.mjs'

const file = tinyGguf()
const HEADER = 12_000 // more or less: what is before it is the other kind's

/** The input is a list of (place, byte) of 5 bytes each. */
export const tensors = {
  name: 'tensors',
  share: 0.02, // a model is loaded for each
  make(random) {
    const edits = Array.from({ length: random.few(8) }, () => {
      const at = HEADER + random.below(file.length - HEADER)
      return [at & 255, (at >> 8) & 255, at >> 16, 0, random.pick([0, 127, 128, 255, random.below(256)])]
    })
    return Uint8Array.from(edits.flat())
  },
  async use(bytes, folder) {
    const damaged = Uint8Array.from(file)
    for (let i = 0; i + 5 <= bytes.length; i += 5) {
      const at = bytes[i] + 256 * bytes[i + 1] + 65536 * bytes[i + 2]
      damaged[Math.min(at, file.length - 1)] = bytes[i + 4]
    }
    const target = path.join(folder, 'model.gguf')
    await fs.writeFile(target, damaged)
    const model = await MixtralModel.load(target, { threads: 1, contextLength: 32 })
    try {
      await model.evaluate([1, 5, 260])
      await model.generate('ab', { maxNewTokens: 2, temperature: 0 })
    } finally {
      await model.close()
    }
  },
}
