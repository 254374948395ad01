// Listening in Bun, natively. It limits headers, and connections that are silent, by itself.

import { type Address, type Answer, atMost, bounded, LAST_MILLISECONDS, type Listening, SILENT_SECONDS } from './listening.js'

/** What is used of Bun. */
interface BunRuntime {
  serve(options: {
    readonly hostname: string
    readonly port: number
    /** Seconds, at most 255. */
    readonly idleTimeout: number
    readonly development: boolean
    fetch(request: Request): Promise<Response>
    error(): Response
  }): { readonly port: number; stop(now?: boolean): Promise<void> }
}

/** Throws what the system says. */
export async function listen(answer: Answer, { host, port }: Address): Promise<Listening> {
  const { Bun } = globalThis as unknown as { readonly Bun: BunRuntime }
  const checked = bounded(answer, Number.POSITIVE_INFINITY)
  const server = Bun.serve({
    hostname: host,
    port,
    idleTimeout: SILENT_SECONDS,
    development: false, // no page with the sources of an error
    fetch: (request) => checked(request),
    error: () => new Response(null, { status: 500 }), // answers never throw
  })
  return {
    port: server.port,
    async close(ended) {
      await ended // who comes until then is told to come again
      const closed = server.stop().catch(() => {})
      await atMost(LAST_MILLISECONDS, closed)
      await server.stop(true).catch(() => {}) // those that do not read
    },
  }
}
