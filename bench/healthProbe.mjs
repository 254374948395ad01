// Asks a server for its health again and again, in a thread of its own, so that what the main thread does is in no
// latency. Sends the milliseconds of each answer, or the error.

import { request } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

const { url, every } = workerData
for (;;) {
  const start = performance.now()
  const problem = await new Promise((resolve) => {
    request(`${url}/health`, { agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200 ? undefined : `status ${response.statusCode}`))
    })
      .on('error', (error) => resolve(error.message))
      .end()
  })
  parentPort.postMessage({ milliseconds: performance.now() - start, problem })
  await new Promise((resolve) => setTimeout(resolve, every))
}
