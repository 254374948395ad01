// Twenty texts at the same time on one model, which shares its steps among them. Ctrl-C and the first error stop all.
import { MixtralModel } from 'mixtral-wasm'

const texts = Array.from({ length: 20 }, (_, i) => `Text ${i}: the fox met the owl at the river.`)
const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
const model = await MixtralModel.load('demo', { signal: stop.signal })
const options = { temperature: 0, maxNewTokens: 40, signal: stop.signal }
const ask = (text) => model.chat([{ role: 'user', content: `Summarize: ${text}` }], options)
const answers = await Promise.all(texts.map(ask)).finally(() => stop.abort())
for (const { text } of answers) console.log(text)
await model.close()
