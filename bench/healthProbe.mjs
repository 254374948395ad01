// Asks a server for its health again and again, in a process of its own: in one that makes load, another thread too
// waits for itself. Sends the milliseconds of each answer, and the error if there is one.

import { request } from 'node:http'

const [url, every] = process.argv.slice(2)
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
