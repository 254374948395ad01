// Writes a story piece by piece, in Bun: `bun run start`.

import { MixtralModel } from 'mixtral-wasm'

const prompt = Bun.argv[2] ?? 'Once upon a time'
const model = await MixtralModel.load('demo') // or a path, or a name such as mixtral:8x7b that was pulled

process.stdout.write(prompt)
for await (const { text } of model.stream(prompt, { temperature: 0, maxNewTokens: 6 })) process.stdout.write(text)
console.log()
await model.close()
