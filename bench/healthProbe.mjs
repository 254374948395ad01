// Asks a server for its health again and again, in a process of its own: in one that makes load, another thread too
// waits for itself. Sends the milliseconds of each answer, and the error if there is one. With the address `idle`, it
// starts a process that does nothing but answer, and asks that: what the machine alone makes of a question.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { fileURLToPath } from 'node:url'

const [asked, every] = process.argv.slice(2)
if (asked === 'answer') {
  const server = createServer((_, response) => response.end('{"status":"ok"}')).listen(0, '127.0.0.1', () => {
    process.send(`http://127.0.0.1:${server.address().port}`)
  })
  await once(process, 'disconnect')
  process.exit()
}
const [url] = asked === 'idle' ? await once(fork(fileURLToPath(import.meta.url), ['answer']), 'message') : [asked]
for (;;) {
  const start = performance.now()
  const problem = await new Promise((resolve) => {
    request(`${url}/health`, { agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200 ? undefined : `status ${response.statusCode}`))
    })
      .on('error', (error) => resolve(error.message))
      .end()
  })
  process.send({ milliseconds: performance.now() - start, problem })
  await new Promise((resolve) => setTimeout(resolve, Number(every)))
}
