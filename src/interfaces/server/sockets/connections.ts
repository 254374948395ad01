// The requests of each connection of HTTP/1: one after the other, as their answers go out; and all end with it. A
// runtime tells that a client has left to the answer that is being written, not to those behind it.

import { unless } from '../../../base/onAbort.js'
import type { Exchange } from '../requestLog.js'

/** What is used of a socket. */
export interface ConnectionSocket {
  readonly destroyed?: boolean
  once(event: 'close', listener: () => void): unknown
  destroy(): unknown
}

/** Most requests that a connection may have sent without an answer. Each is some kilobytes. */
const MOST_PIPELINED = 64

export class Connections {
  readonly #open = new WeakMap<ConnectionSocket, Set<Exchange>>()

  /** Resolves when it is a request's turn, or when it has ended. Call it before anything else is waited for. */
  async enter(socket: ConnectionSocket, exchange: Exchange): Promise<void> {
    const open = this.#openOn(socket)
    const earlier = [...open].at(-1)
    open.add(exchange)
    void exchange.ended.then(() => open.delete(exchange))
    if (socket.destroyed) exchange.leave('left')
    else if (open.size > MOST_PIPELINED) socket.destroy()
    if (earlier) await unless(exchange.signal, earlier.ended).catch(() => {})
  }

  #openOn(socket: ConnectionSocket): Set<Exchange> {
    const known = this.#open.get(socket)
    if (known) return known
    const open = new Set<Exchange>()
    this.#open.set(socket, open)
    socket.once('close', () => {
      for (const exchange of open) {
        exchange.leave('left')
        if (exchange.streams) exchange.end() // nobody tells its stream
      }
    })
    return open
  }
}
