// Streams answers over HTTP as plain text, with Node alone. Send a list of messages:
//   curl -N localhost:8080 -d '[{ "role": "user", "content": "Who are you?" }]'
// Answers that are written at the same time share the model's steps; beyond eight, requests wait. A client that leaves
// ends its answer or its waiting.

import { createServer } from 'node:http'
import { MixtralModel } from 'mixtral-wasm'

const MOST_BYTES = 1_000_000 // of a request: a context of any Mixtral is shorter
const MOST_TOKENS = 400 // of an answer: it is buffered for a client that reads slowly, so the model waits for none

const model = await MixtralModel.load(process.argv[2] ?? 'demo')

const server = createServer(async (request, response) => {
  const leaving = new AbortController()
  response.on('close', () => leaving.abort()) // also after the end, where it changes nothing
  try {
    const messages = JSON.parse(await readText(request))
    const options = { temperature: 0, maxNewTokens: MOST_TOKENS, signal: leaving.signal }
    for await (const { text } of model.streamChat(messages, options)) {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
      response.write(text)
    }
    response.end()
    console.log('answered')
  } catch (error) {
    if (leaving.signal.aborted) return console.log('the client left')
    if (response.headersSent) return response.destroy() // so that the client sees that the answer is not whole
    const theirs = error instanceof SyntaxError || error.isCallersFault
    response.writeHead(theirs ? 400 : 500, { connection: 'close' }).end(`${theirs ? error.message : 'something went wrong here'}\n`)
    console.log(`failed: ${error.message}`)
  }
})
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))

async function readText(request) {
  const chunks = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > MOST_BYTES) throw new SyntaxError(`a request of more than ${MOST_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
