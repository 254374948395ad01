// LangChain with a model in this process: a chain whose answer comes in pieces, and an object of a schema.

import { StringOutputParser } from '@langchain/core/output_parsers'
import { ChatPromptTemplate } from '@langchain/core/prompts'
import { MixtralModel } from 'mixtral-wasm'
import { ChatMixtral } from 'mixtral-wasm/langchain'

const model = await MixtralModel.load(process.argv[2] ?? 'demo')
const chat = new ChatMixtral({ model, temperature: 0 })

const prompt = ChatPromptTemplate.fromTemplate('What is the capital of {country}?')
const pieces = await prompt.pipe(chat).pipe(new StringOutputParser()).stream({ country: 'France' })
for await (const text of pieces) process.stdout.write(text)

const place = {
  type: 'object',
  properties: { city: { enum: ['Paris', 'Rome'] } },
  required: ['city'],
  additionalProperties: false,
}
const { city } = await prompt.pipe(chat.withStructuredOutput(place)).invoke({ country: 'France' })
console.log(`\n${city}`)
await model.close()
