// mixtral-wasm as built in ../../../dist, under whatever runtime this file is started with.

import { readFileSync } from 'node:fs'
import { MixtralModel } from '../../../dist/index.js'
import { runtime, serveEngine, stepwise } from '../engineServer.mjs'

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
let model

await serveEngine({
  async load({ path, threads, contextLength, ...options }) {
    model = await MixtralModel.load(path, { threads, contextLength, ...options })
  },

  ...stepwise(clear, continueFrom),

  about() {
    const { kernels, threads } = model
    const { weightBytes, kvBytes, experts, expertSlots } = model.memory
    return { engine: 'mixtral-wasm', version, runtime: runtime(), kernels, threads, weightBytes, kvBytes, experts, expertSlots }
  },

  async close() {
    await model.close()
  },
})

function clear() {
  return model.reset()
}

async function continueFrom(prompt) {
  const ids = [...prompt]
  return async (id) => {
    if (id !== undefined) ids.push(id)
    return largest(await model.evaluate(ids))
  }
}

function largest(logits) {
  let best = 0
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id
  return best
}
