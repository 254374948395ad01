// Writes a story piece by piece, in Deno. The permissions that it needs are in package.json: `deno task start`.

import { MixtralModel } from 'mixtral-wasm'

const prompt = Deno.args[0] ?? 'Once upon a time'
const model = await MixtralModel.load('demo') // a path needs --allow-read=PATH, too
const write = (text) => Deno.stdout.writeSync(new TextEncoder().encode(text))

write(prompt)
for await (const { text } of model.stream(prompt, { temperature: 0, maxNewTokens: 6 })) write(text)
write('\n')
await model.close()
