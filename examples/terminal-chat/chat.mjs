// A chat in the terminal that keeps its turns. Ctrl-C stops an answer, and at the prompt ends the chat, as an empty
// line does.

import { createInterface } from 'node:readline'
import { MixtralError, MixtralModel } from 'mixtral-wasm'

const model = await MixtralModel.load(process.argv[2] ?? 'demo')
const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' })
let answering // the AbortController of the answer that is being written
terminal.on('SIGINT', () => (answering ? answering.abort() : terminal.close()))

let messages = []
terminal.prompt()
for await (const line of terminal) {
  if (line.trim() === '') break
  messages.push({ role: 'user', content: line })
  messages.push({ role: 'assistant', content: await answer() })
  terminal.prompt()
}
terminal.close()
await model.close()

/** Writes the answer to the messages so far and returns it. Only tokens that are new since the last turn are run. */
async function answer() {
  answering = new AbortController()
  let written = ''
  try {
    for await (const { text } of model.streamChat(messages, { seed: 1, signal: answering.signal })) {
      process.stdout.write(text)
      written += text
    }
  } catch (error) {
    if (!(error instanceof MixtralError)) throw error
    if (error.code === 'CONTEXT') messages = [] // the conversation is longer than the context: begin a new one
    console.log(`[${error.message}]`)
  }
  answering = undefined
  console.log()
  return written
}
