// The bytes of a file as an answer: read as the client reads them, so that memory holds a piece. A client that stops
// reading is dropped, and who deletes the file meanwhile does not cut it.

import type { FileHandle } from 'node:fs/promises'
import { onAbort } from '../../base/onAbort.js'
import { readAt } from '../batch/fileLines.js'
import type { Exchange } from '../server/requestLog.js'
import { Stall } from '../server/streams/respond.js'
import type { FileRecord } from './fileStore.js'

const PIECE = 262_144

/** Closes the handle in any case. */
export function contentResponse(handle: FileHandle, { id, bytes }: FileRecord, exchange: Exchange, stallSeconds: number): Response {
  exchange.streams = true
  const stall = new Stall(exchange, stallSeconds)
  let at = 0
  let isOver = false
  const end = () => {
    if (isOver) return
    isOver = true
    stall.clear()
    void handle.close().catch(() => {})
  }
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // an error without a message: runtimes would print it
        stall.breakOff = () => controller.error()
        onAbort(exchange.signal, () => {
          end()
          if (exchange.endedBy) exchange.drop(stall.breakOff)
          else exchange.end()
        })
      },
      async pull(controller) {
        stall.clear()
        if (isOver) return controller.error()
        const piece = await readAt(handle, id, at, Math.min(PIECE, bytes - at)).catch(() => undefined)
        if (isOver) return controller.error()
        at += piece?.length ?? 0
        if (!piece || (piece.length === 0 && at < bytes)) {
          // cut, not ended: nobody takes a part for the whole
          exchange.note({ outcome: 'failed', error: 'IO' })
          return exchange.drop(stall.breakOff)
        }
        if (piece.length > 0) controller.enqueue(piece)
        if (at < bytes) return stall.begin()
        end()
        controller.close()
        exchange.end({ outcome: 'done' })
      },
      cancel() {
        end()
        exchange.leave('left')
        exchange.end()
      },
    },
    { highWaterMark: 0 },
  )
  const headers = {
    'content-type': 'application/octet-stream',
    'content-length': String(bytes),
    'content-disposition': `attachment; filename="${id}"`,
    'x-content-type-options': 'nosniff',
  }
  return new Response(stream, { headers })
}
