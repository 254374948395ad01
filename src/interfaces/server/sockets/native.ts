// Listening in Bun and in Deno, natively. Bun limits headers, and connections that are silent, by itself. Deno has no
// limit for slow headers and silent connections, and cannot cut those that do not read: docs/serving.md says so.

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

/** What is used of Deno. */
interface DenoRuntime {
  serve(
    options: { hostname: string; port: number; onListen: () => void; onError: () => Response },
    answer: (request: Request) => Promise<Response>,
  ): { readonly addr: { readonly port: number }; shutdown(): Promise<void>; unref(): void }
}

/** Node's. */
const HEADER_BYTES = 16_384

/** Of what nobody expects: answers never throw; what remains is a cut stream. */
const failed = () => new Response(null, { status: 500 })

/** Throws what the system says. */
export async function listen(answer: Answer, address: Address): Promise<Listening> {
  const { Bun, Deno } = globalThis as unknown as { readonly Bun?: BunRuntime; readonly Deno: DenoRuntime }
  return Bun ? listenInBun(Bun, answer, address) : listenInDeno(Deno, answer, address)
}

function listenInBun(bun: BunRuntime, answer: Answer, { host, port }: Address): Listening {
  const checked = bounded(answer, Number.POSITIVE_INFINITY)
  const server = bun.serve({
    hostname: host,
    port,
    idleTimeout: SILENT_SECONDS,
    development: false, // no page with the sources of an error
    fetch: (request) => checked(request),
    error: failed,
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

function listenInDeno(deno: DenoRuntime, answer: Answer, { host, port }: Address): Listening {
  const checked = bounded(answer, HEADER_BYTES)
  const server = deno.serve({ hostname: host, port, onListen() {}, onError: failed }, (request) => checked(request))
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
