// Run by a test in a process of its own: uses the demo model in the way that argv names, and never closes it. The
// process must be able to end by itself.

import { MixtralModel } from '../../../dist/index.js'

const prompt = '[INST] Who are you? [/INST]'
const tokens = Array.from({ length: 400 }, (_, i) => 3 + i)
const load = (options) => MixtralModel.load('demo', { threads: 2, batchSize: 64, ...options })
const codeOf = (call) =>
  call.then(
    () => 'none',
    ({ code }) => code,
  )

const ways = {
  async loaded() {
    await load()
  },
  async generated() {
    console.log((await (await load()).generate(prompt, { temperature: 0, maxNewTokens: 5 })).text)
  },
  async abortedLoad() {
    console.log(await codeOf(load({ signal: AbortSignal.abort() })))
  },
  async refusedLoad() {
    console.log(await codeOf(load({ worker: new URL('nowhere.js', import.meta.url).href })))
  },
  async abortedPrompt() {
    const abort = new AbortController()
    const call = (await load()).logits(tokens, { signal: abort.signal, onProgress: () => setImmediate(() => abort.abort()) })
    console.log(await codeOf(call))
  },
  async abortedText() {
    const abort = new AbortController()
    const pieces = (await load()).stream(prompt, { signal: abort.signal })
    await pieces.next()
    abort.abort()
    console.log(await codeOf(pieces.next()))
  },
  async leftStream() {
    for await (const piece of (await load()).stream(prompt)) if (piece.text) break
  },
  async forgottenStream() {
    await (await load()).stream(prompt).next()
  },
  async closedInMidCall() {
    const model = await load()
    const call = codeOf(model.logits(tokens))
    await model.close()
    console.log(await call)
  },
}

await ways[process.argv[2]]()
console.log('end')
