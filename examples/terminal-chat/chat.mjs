// A chat that keeps its turns. Ctrl-C stops an answer, and at the prompt ends the chat, as an empty line does.
import { createInterface } from 'node:readline'
import { MixtralModel } from 'mixtral-wasm'

const model = await MixtralModel.load(process.argv[2] ?? 'demo')
const chat = model.chatSession({ options: { temperature: 0 } }) // the oldest turns go when there is no more room
const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' })
let answering // the AbortController of the answer that is being written
terminal.on('SIGINT', () => (chat.isAnswering ? answering.abort() : terminal.close()))
async function answer(line) {
  answering = new AbortController()
  for await (const { text } of chat.stream(line, { signal: answering.signal })) process.stdout.write(text)
}
terminal.prompt()
for await (const line of terminal) {
  if (line === '') break
  await answer(line).catch(({ message }) => process.stdout.write(` [${message}]`))
  console.log()
  terminal.prompt()
}
await model.close()
