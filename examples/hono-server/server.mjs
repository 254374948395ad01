// POST /chat with { messages } streams an answer; a client that leaves ends it. Needs hono and @hono/node-server.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import { MixtralModel } from 'mixtral-wasm'

const model = await MixtralModel.load(process.argv[2] ?? 'demo')
const app = new Hono().post('/chat', async (context) => {
  const { messages } = await context.req.json()
  const tooMany = model.countTokens(messages) - model.contextLength + 1
  if (tooMany > 0) return context.text(`${tooMany} tokens too many`, 400)
  const answer = model.streamChat(messages, { temperature: 0, signal: context.req.raw.signal })
  const write = async (out) => {
    for await (const { text } of answer) await out.write(text)
  }
  return stream(context, write, (error) => error.name === 'AbortError' || console.error(error))
})
app.onError((error, context) => context.text(error.message, error.isCallersFault || error instanceof SyntaxError ? 400 : 500))
serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 8080), hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}/chat`)
})
