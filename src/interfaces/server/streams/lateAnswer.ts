// An answer that is not there yet, since its model is being loaded: headers and signs of life now, what the answer has
// when it comes. Its status is 200 by then: an error is told in the body.

import { type ApiError, toApiError } from '../apiError.js'
import type { Exchange } from '../requestLog.js'
import type { Settings } from '../settings.js'
import { STREAM_HEADERS, Stall, within } from './respond.js'

/** How an API fills the time. */
export interface LateForm {
  readonly contentType: string
  readonly ping: () => string
  readonly error: (error: ApiError) => string
}

/** @param coming a Response, or an object that is its body */
export function lateAnswer(
  coming: Promise<object>,
  { contentType, ping, error: errorText }: LateForm,
  exchange: Exchange,
  { pingSeconds, stallSeconds }: Settings,
): Response {
  exchange.streams = true
  const encoder = new TextEncoder()
  const stall = new Stall(exchange, stallSeconds)
  let body: ReadableStreamDefaultReader<Uint8Array> | undefined
  let left = false
  /** What comes next; undefined at the end. Throws what `coming` throws. */
  const next = async (): Promise<Uint8Array | undefined> => {
    if (!body) {
      const result = await within(coming, pingSeconds)
      if (result === undefined) return encoder.encode(ping())
      const response = result instanceof Response ? result : Response.json(result)
      body = response.body!.getReader()
      if (left) await body.cancel()
    }
    const { done, value } = await body.read()
    return done ? undefined : value
  }
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(ping()))
      stall.begin()
    },
    async pull(controller) {
      stall.clear()
      const chunk = await next().catch((error: unknown) => {
        const told = toApiError(error)
        exchange.note({ ...(told.origin && { error: told.origin }), ...(!exchange.signal.aborted && { outcome: 'failed' }) })
        if (!left) controller.enqueue(encoder.encode(errorText(told)))
      })
      if (left) return
      if (chunk) {
        controller.enqueue(chunk)
        if (!body) stall.begin() // an answer watches over its own pieces
      } else {
        exchange.end()
        controller.close()
      }
    },
    async cancel() {
      left = true
      stall.clear()
      exchange.leave('left')
      await body?.cancel()
      exchange.end()
    },
  })
  return new Response(stream, { headers: { ...STREAM_HEADERS, 'content-type': contentType } })
}
