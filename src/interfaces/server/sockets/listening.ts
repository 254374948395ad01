// What a server needs of a socket, whichever runtime it is of.

export interface Address {
  readonly host: string
  /** 0 takes one that is free. */
  readonly port: number
}

export type Answer = (request: Request, env?: unknown) => Promise<Response>

export interface Listening {
  readonly port: number
  /** Waits for `ended`, takes no more connections then, and closes those that are open soon after it. Never throws. */
  close(ended: Promise<void>): Promise<void>
}

/** Most connections at one time. Each is some kilobytes, and a request that waits is one of the queue. */
export const MOST_CONNECTIONS = 1024

/** Seconds for which a connection may be silent: proxies keep them longer than Node's 5 seconds. */
export const SILENT_SECONDS = 65

/** Milliseconds that clients have to take the rest of their answers when the server ends. */
export const LAST_MILLISECONDS = 1000

/** Resolves when the promise does, or after that time. */
export async function atMost(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  await Promise.race([promise, late])
  clearTimeout(timer)
}

/**
 * What runtimes without limits of their own need: a bound of requests whose answers have not begun, and one of headers,
 * as Node has it. What is beyond gets a status without a body.
 */
export function bounded(answer: Answer, mostHeaderBytes: number): Answer {
  let open = 0
  return async (request, env) => {
    let bytes = 0
    for (const [name, value] of request.headers) bytes += name.length + value.length + 4
    if (bytes > mostHeaderBytes) return new Response(null, { status: 431, headers: { connection: 'close' } })
    if (open >= MOST_CONNECTIONS) return new Response(null, { status: 503, headers: { 'retry-after': '2' } })
    open++
    try {
      return await answer(request, env)
    } finally {
      open--
    }
  }
}
