// A body whose pieces come when they come: each is asked for when the client has read the one before; a client that
// does not read is dropped, and one that leaves ends the work.

import { type ApiError, toApiError } from '../apiError.js'
import type { Exchange } from '../requestLog.js'
import { STREAM_HEADERS, Stall } from './respond.js'

export interface Drawn {
  readonly contentType: string
  /** What stands at the beginning. */
  readonly begin: string
  /** The next piece; undefined at the end. */
  readonly next: () => Promise<Uint8Array | string | undefined>
  readonly error: (error: ApiError) => string
  /** The client has left. */
  readonly left?: () => Promise<unknown>
  /** Whether somebody else drops a client that does not read. */
  readonly isWatched?: () => boolean
}

export function drawnResponse(
  { contentType, begin, next, error: errorText, left, isWatched }: Drawn,
  exchange: Exchange,
  stallSeconds: number,
) {
  exchange.streams = true
  const encoder = new TextEncoder()
  const stall = new Stall(exchange, stallSeconds)
  let gone = false
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(begin))
      stall.begin()
    },
    async pull(controller) {
      stall.clear()
      const piece = await next().catch((error: unknown) => {
        const told = exchange.endedBy ?? toApiError(error)
        exchange.note({ ...(told.origin && { error: told.origin }), ...(!exchange.signal.aborted && { outcome: 'failed' }) })
        if (!gone) controller.enqueue(encoder.encode(errorText(told)))
      })
      if (gone) return
      if (piece === undefined) {
        controller.close()
        exchange.end()
        return
      }
      controller.enqueue(typeof piece === 'string' ? encoder.encode(piece) : piece)
      if (!isWatched?.()) stall.begin()
    },
    async cancel() {
      gone = true
      stall.clear()
      exchange.leave('left')
      await left?.()
      exchange.end()
    },
  })
  return new Response(stream, { headers: { ...STREAM_HEADERS, 'content-type': contentType } })
}
