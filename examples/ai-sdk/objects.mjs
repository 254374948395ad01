// The AI SDK with a model in this process: a text in pieces, an object of a schema, and embeddings.

import { cosineSimilarity, embedMany, generateText, jsonSchema, Output, streamText } from 'ai'
import { MixtralModel } from 'mixtral-wasm'
import { createMixtral } from 'mixtral-wasm/ai'

const model = await MixtralModel.load(process.argv[2] ?? 'demo')
const mixtral = createMixtral(model)

const { textStream } = streamText({ model: mixtral(), prompt: 'Who are you?', temperature: 0 })
for await (const text of textStream) process.stdout.write(text)

const schema = jsonSchema({
  type: 'object',
  properties: { city: { enum: ['Paris', 'Rome'] }, large: { type: 'boolean' } },
  required: ['city', 'large'],
  additionalProperties: false,
})
const asked = { model: mixtral(), prompt: 'What is the capital of France?', temperature: 0 }
const { output } = await generateText({ ...asked, output: Output.object({ schema }) })
console.log(`\n${JSON.stringify(output)}`)

const values = ['a fox met an owl', 'an owl met a fox', '7 + 5 = 12.']
const { embeddings } = await embedMany({ model: mixtral.embeddingModel(), values })
const [fox, owl, sum] = embeddings
console.log(cosineSimilarity(fox, owl) > cosineSimilarity(fox, sum))
await model.close()
