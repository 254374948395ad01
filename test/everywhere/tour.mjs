// A round through the library, in the runtime that runs it: load, stream, chat, abort in mid-generation, close.
// Prints one line per stop, and ends by itself: a thread that stayed behind would keep the process up.

import process from 'node:process'
import { MixtralError, MixtralModel } from 'mixtral-wasm'

process.on('warning', ({ name, message }) => console.log(`warned: ${name}: ${message}`))

const { signal } = new AbortController()
const model = await MixtralModel.load('demo', { threads: 2, contextLength: 512, signal })
console.log(`loaded ${model.config.layers} layers`)

const { text: streamed } = await model.stream('Once upon a time', { temperature: 0, maxNewTokens: 6 }).result
console.log(`streamed ${streamed}`)

const prompts = Array.from({ length: 15 }, (_, i) => `What is ${i} + 1?`)
const answers = await Promise.all(prompts.map((prompt) => model.generate(prompt, { maxNewTokens: 2, signal })))
console.log(`at once ${answers.filter(({ ids }) => ids.length > 0).length} answers of ${answers.length}`)

const { text } = await model.chat([{ role: 'user', content: 'What is the capital of France?' }], { temperature: 0 })
console.log(`chatted ${text}`)

const controller = new AbortController()
let pieces = 0
try {
  for await (const _ of model.stream('Long ago, in a far away land,', { temperature: 0, signal: controller.signal })) {
    if (++pieces === 3) controller.abort()
  }
} catch (error) {
  if (!(error instanceof MixtralError)) throw error
  console.log(`${error.name} ${error.code} after ${pieces} pieces`)
}

// a call that was aborted leaves the model as it was
const again = await model.generate('Once upon a time', { temperature: 0, maxNewTokens: 6 })
console.log(`again ${again.text.trim()}`)

await model.close()
await model.generate('Once upon a time').catch((error) => console.log(`${error.code} at the end`))
