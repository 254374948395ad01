// Writes a story piece by piece, then what it took. Another prompt: node examples/script/story.mjs "Long ago,"

import { MixtralModel } from 'mixtral-wasm'

const prompt = process.argv[2] ?? 'Once upon a time'
const model = await MixtralModel.load('demo') // or a path, or a name such as mixtral:8x7b that was pulled

process.stdout.write(prompt)
const story = model.stream(prompt, { temperature: 0, maxNewTokens: 60 })
for await (const { text } of story) process.stdout.write(text)

const { ids, finishReason, promptTokens } = await story.result
console.log(`\n${promptTokens} tokens read, ${ids.length} written, ended by ${finishReason}`)
await model.close()
