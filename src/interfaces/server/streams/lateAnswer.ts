// An answer that is not there yet, since its model is being loaded: headers and signs of life now, what the answer has
// when it comes. Its status is 200 by then: an error is told in the body.

import type { ApiError } from '../apiError.js'
import type { Exchange } from '../requestLog.js'
import type { Settings } from '../settings.js'
import { drawnResponse } from './drawn.js'
import { within } from './turn.js'

/** How an API fills the time. */
export interface LateForm {
  readonly contentType: string
  readonly ping: () => string
  readonly error: (error: ApiError) => string
}

/** @param coming a Response, or an object that is its body */
export function lateAnswer(
  coming: Promise<object>,
  { contentType, ping, error }: LateForm,
  exchange: Exchange,
  { pingSeconds, stallSeconds }: Settings,
): Response {
  let body: ReadableStreamDefaultReader<Uint8Array> | undefined
  let gone = false
  const next = async (): Promise<Uint8Array | string | undefined> => {
    if (!body) {
      const result = await within(coming, pingSeconds)
      if (result === undefined) return ping()
      const response = result instanceof Response ? result : Response.json(result)
      body = response.body!.getReader()
      if (gone) await body.cancel()
    }
    return (await body.read()).value
  }
  const left = async () => {
    gone = true
    await body?.cancel()
  }
  // an answer watches over its own pieces
  return drawnResponse({ contentType, begin: ping(), next, error, left, isWatched: () => body !== undefined }, exchange, stallSeconds)
}
