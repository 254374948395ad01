// A question that the model answers with the help of functions: it asks for calls, this program runs them and sends
// back what they return, until the model answers with a text. The demo model has never learned to call functions. The
// constraint makes its calls valid, and its answers are stories.

import { MixtralModel } from 'mixtral-wasm'
import { weather } from './weather.mjs'

const functions = { weather }
const tools = Object.entries(functions).map(([name, { description, parameters }]) => ({
  type: 'function',
  function: { name, description, parameters },
}))

const model = await MixtralModel.load(process.argv[2] ?? 'demo')
const messages = [{ role: 'user', content: 'What is the weather in Oslo?' }]
for (let round = 0; ; round++) {
  // The first answer must be a call, so that there is one to see; a model that calls without end is stopped.
  const toolChoice = round === 0 ? 'required' : round < 2 ? 'auto' : 'none'
  const { text, toolCalls, finishReason } = await model.chat(messages, { tools, toolChoice, parallelToolCalls: false, temperature: 0 })
  messages.push({ role: 'assistant', content: text, tool_calls: toolCalls })
  if (finishReason !== 'tool_calls') {
    console.log(text.trim())
    break
  }
  for (const { id, function: called } of toolCalls) {
    const result = JSON.stringify(await functions[called.name](JSON.parse(called.arguments)))
    console.log(`${called.name}(${called.arguments}) = ${result}`)
    messages.push({ role: 'tool', tool_call_id: id, content: result })
  }
}
await model.close()
