// Listening in Deno, natively. It has no limit for slow headers and silent connections, and cannot cut those that do
// not read: docs/serving.md says so.

import { type Address, type Answer, atMost, bounded, LAST_MILLISECONDS, type Listening } from './listening.js'

/** What is used of Deno. */
interface DenoRuntime {
  serve(
    options: { hostname: string; port: number; onListen: () => void; onError: () => Response },
    answer: (request: Request) => Promise<Response>,
  ): { readonly addr: { readonly port: number }; shutdown(): Promise<void>; unref(): void }
}

/** Node's. */
const HEADER_BYTES = 16_384

/** Throws what the system says. */
export async function listen(answer: Answer, { host, port }: Address): Promise<Listening> {
  const { Deno } = globalThis as unknown as { readonly Deno: DenoRuntime }
  const checked = bounded(answer, HEADER_BYTES)
  const server = Deno.serve(
    {
      hostname: host,
      port,
      onListen() {},
      onError: () => new Response(null, { status: 500 }), // answers never throw; what remains is a cut stream
    },
    (request) => checked(request),
  )
  return {
    port: server.addr.port,
    async close(ended) {
      await ended // who comes until then is told to come again
      const closed = server.shutdown().catch(() => {})
      await atMost(LAST_MILLISECONDS, closed)
      server.unref() // those that do not read cannot be cut here: they hold no process
    },
  }
}
