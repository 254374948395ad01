// Listening in Node, through Hono's adapter.

import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { type Address, type Answer, LAST_MILLISECONDS, type Listening, MOST_CONNECTIONS, SILENT_SECONDS } from './listening.js'

/** Throws what the system says. */
export async function listen(answer: Answer, { host, port }: Address): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: answer,
    overrideGlobalObjects: false,
    hostname: 'localhost', // of requests of HTTP/1.0 that name none; Node itself refuses them in HTTP/1.1
    // a slow header or body ends here
    serverOptions: { headersTimeout: 60_000, requestTimeout: 300_000, keepAliveTimeout: SILENT_SECONDS * 1000 },
  }) as Server
  server.maxConnections = MOST_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : port,
    async close(ended) {
      await ended // who comes until then is told to come again
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const idle = setInterval(() => server.closeIdleConnections(), 20) // those whose last answer goes out now
      const timer = setTimeout(() => server.closeAllConnections(), LAST_MILLISECONDS) // those that do not read it
      await closed
      clearInterval(idle)
      clearTimeout(timer)
    },
  }
}
