// From answers to a response. Owns what all APIs have in common: an error before the first event is a plain one with
// its status; headers go out as soon as a request is accepted; silence is filled with signs of life; a client that
// leaves, or does not read, ends its work. Knows no format: an API gives it a `Wire`.

import { MixtralError } from '../../../base/errors.js'
import { onAbort } from '../../../base/onAbort.js'
import { inSlices, type Steps } from '../../../base/timeSlice.js'
import type { Admission } from '../admission.js'
import { type ApiError, toApiError } from '../apiError.js'
import type { Metrics } from '../metrics/metrics.js'
import type { Exchange } from '../requestLog.js'
import type { Settings } from '../settings.js'
import { type AnswerEvent, type AnswerRun, answerEvents, type Outcome } from './answerRuns.js'
import { isTurnOver, ownTurn, within } from './turn.js'

/** How an API writes an answer. Texts are complete events; an empty one is left out. */
export interface Wire {
  readonly contentType: string
  /** What stands at the beginning of a stream: it goes out with the headers. */
  readonly begin: string
  /** A sign of life that readers ignore. */
  readonly ping: string
  event(event: AnswerEvent): string
  /** What takes long of an event is done before it is written or learned, in slices. */
  prepare?(event: AnswerEvent): Steps<void>
  /** Takes what the whole answer needs of an event, where it is not streamed. */
  learn?(event: AnswerEvent): void
  end(outcomes: readonly Outcome[]): string
  error(error: ApiError): string
  /** The body of an answer that is not streamed. */
  whole(outcomes: readonly Outcome[]): object
  /** The body of an error. */
  errorBody(error: ApiError): object
  /** The names that options have in the request, by ours. */
  readonly wireNames: ReadonlyMap<string, string>
}

/** What a request asks for: its answers, and how they are written. */
export interface Requested {
  readonly runs: readonly AnswerRun[]
  readonly wire: Wire
  readonly streams: boolean
}

/** What a response needs of its server. */
export interface Answering {
  readonly exchange: Exchange
  readonly admission: Pick<Admission, 'enter' | 'closing'>
  readonly metrics: Metrics
  readonly settings: Settings
  /** Answers of one request that run at one time. */
  readonly width: number
  /** Of the caller's part of the KV cache. */
  readonly salt?: string
  /** There where the client takes ids of events; it may have one, and go on behind it, or have all. */
  readonly resuming?: { readonly lastEventId: string | undefined; readonly hasAll: boolean }
  /** How long the request waited for its model, where that was not in memory. */
  readonly loadSeconds?: number
}

export const STREAM_HEADERS = {
  'cache-control': 'no-cache, no-transform', // what compresses on the way would hold events back
  'x-accel-buffering': 'no', // nginx would collect the whole answer
  'transfer-encoding': 'chunked', // @hono/node-server would wait for the first chunks before it sends headers
}

/** Throws what is wrong with the request, before anything is sent. */
export async function respond(runs: readonly AnswerRun[], wire: Wire, streams: boolean, answering: Answering): Promise<Response> {
  const { exchange, admission, settings } = answering
  // by WHATWG's rules: who comes back whenever a connection closes, stops
  if (answering.resuming?.hasAll) return new Response(null, { status: 204 })
  const leave = admission.enter()
  const work = new Work(runs, wire, answering, leave)
  try {
    await work.accepted
  } catch (error) {
    work.end()
    throw toApiError(error, wire.wireNames)
  }
  if (streams) {
    exchange.streams = true
    const headers = { ...STREAM_HEADERS, 'content-type': wire.contentType }
    return new Response(streamOf(work, wire, answering), { headers })
  }
  const whole = work.whole()
  const first = await within(whole, settings.pingSeconds)
  if (first !== undefined) return Response.json(first)
  exchange.streams = true
  return new Response(spacesBefore(whole, work, wire, answering), {
    headers: { ...STREAM_HEADERS, 'content-type': 'application/json' },
  })
}

/** The answers of a request at work. */
class Work {
  /** Resolves when the request is accepted, and fails with what is wrong with it. */
  readonly accepted: Promise<void>
  readonly #events: AsyncGenerator<AnswerEvent, Outcome[]>
  readonly #wire: Wire
  readonly #answering: Answering
  readonly #leave: () => void
  #first: Promise<IteratorResult<AnswerEvent, Outcome[]>> | undefined
  readonly #answers: number
  #tokens = 0
  #isWhole = false
  #hasText = false
  #ended = false

  constructor(runs: readonly AnswerRun[], wire: Wire, answering: Answering, leave: () => void) {
    this.#wire = wire
    this.#answering = answering
    this.#leave = leave
    this.#answers = runs.length
    let accept: () => void = () => {}
    const accepted = new Promise<void>((resolve) => {
      accept = resolve
    })
    const { exchange, width, salt } = answering
    this.#events = answerEvents(runs, width, { signal: exchange.signal, onAccepted: () => accept(), ...(salt !== undefined && { salt }) })
    this.#first = this.#events.next()
    this.accepted = Promise.race([accepted, this.#first.then(() => {})])
    onAbort(exchange.signal, () => this.end())
  }

  /** The next text of the stream, and whether it is the last. Throws an ApiError. */
  async next(): Promise<{ readonly text: string; readonly last: boolean }> {
    const { value, done } = await this.#step()
    if (!done) return { text: this.#wire.event(value), last: false }
    const text = this.#wire.end(value)
    this.#finish(value)
    return { text, last: true }
  }

  /** The body of the whole answer. Throws an ApiError. */
  async whole(): Promise<object> {
    for (;;) {
      const { value, done } = await this.#step()
      if (done) {
        const body = this.#wire.whole(value)
        this.#finish(value)
        return body
      }
      this.#wire.learn?.(value)
    }
  }

  /** Nothing more is asked for. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#leave()
    const { exchange, metrics } = this.#answering
    this.#events.return([]).catch(() => {}) // ends what is suspended between two events
    if (!exchange.signal.aborted || this.#isWhole) return
    metrics.aborted(exchange.endedBy?.code === 'timeout' ? 'timeout' : 'aborted', this.#answers, this.#tokens)
  }

  async #step(): Promise<IteratorResult<AnswerEvent, Outcome[]>> {
    const { exchange } = this.#answering
    try {
      if (this.#ended) throw new MixtralError('ABORTED', 'the request has ended') // while its client did not read
      const step = this.#first ?? this.#events.next()
      this.#first = undefined
      const result = await step
      if (isTurnOver()) await ownTurn() // what follows is writing
      if (!result.done && this.#wire.prepare) await inSlices(this.#wire.prepare(result.value), exchange.signal)
      if (!result.done && 'part' in result.value) this.#tokens += result.value.part.ids.length
      if (!this.#hasText && !result.done && 'part' in result.value && result.value.part.ids.length > 0) {
        this.#hasText = true
        exchange.note({ firstTokenMilliseconds: Math.round(exchange.milliseconds * 10) / 10 })
        this.#answering.metrics.firstToken(exchange.milliseconds / 1000)
      }
      return result
    } catch (error) {
      const told = exchange.endedBy ?? toApiError(error, this.#wire.wireNames)
      exchange.note({ ...(told.origin && { error: told.origin }), ...(!exchange.signal.aborted && { outcome: 'failed' }) })
      this.end()
      throw told
    }
  }

  #finish(outcomes: readonly Outcome[]): void {
    const { exchange, metrics } = this.#answering
    const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((sum, outcome) => sum + of(outcome), 0)
    exchange.note({
      outcome: 'done',
      promptTokens: sum(({ promptTokens }) => promptTokens),
      cachedTokens: sum(({ reusedTokens }) => reusedTokens),
      completionTokens: sum(({ ids }) => ids.length),
      finishReasons: outcomes.filter(({ vector }) => !vector).map(({ finishReason }) => finishReason),
    })
    for (const outcome of outcomes) metrics.answered(outcome)
    this.#isWhole = true
    this.end()
  }
}

/** A stream that is read at the client's pace; behind it, the library holds a bounded number of pieces. */
function streamOf(work: Work, wire: Wire, { exchange, settings }: Answering): ReadableStream<Uint8Array> {
  const stall = new Stall(exchange, settings.stallSeconds)
  let coming: Promise<{ readonly text: string; readonly last: boolean }> | undefined
  let told = performance.now() // what a client has already is written again without a word
  return bytesOf(
    stall,
    wire.begin,
    async (write, close) => {
      for (;;) {
        coming ??= work.next()
        let next: Awaited<typeof coming> | undefined
        try {
          next = await within(coming, settings.pingSeconds)
        } catch (error) {
          write(wire.error(error as ApiError))
          return close()
        }
        if (next) coming = undefined
        if (next?.text) write(next.text)
        if (next?.last) return close()
        const now = performance.now()
        if (!next || (!next.text && now - told > settings.pingSeconds * 1000)) write(wire.ping)
        else if (!next.text) continue
        told = now
        return
      }
    },
    exchange,
  )
}

/** A body that begins with spaces, which JSON allows, until there is something to say. */
function spacesBefore(whole: Promise<object>, work: Work, wire: Wire, { exchange, settings }: Answering): ReadableStream<Uint8Array> {
  const stall = new Stall(exchange, settings.stallSeconds)
  return bytesOf(
    stall,
    ' ',
    async (write, close) => {
      const body = await within(whole, settings.pingSeconds).catch((error) => wire.errorBody(error))
      if (body === undefined) return write(' ')
      write(JSON.stringify(body))
      work.end()
      close()
    },
    exchange,
  )
}

type Pull = (write: (text: string) => void, close: () => void) => Promise<void>

function bytesOf(stall: Stall, begin: string, pull: Pull, exchange: Exchange): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>({
    start(controller) {
      if (begin) controller.enqueue(encoder.encode(begin))
      // an error without a message: runtimes would print it
      stall.breakOff = () => controller.error()
      stall.begin()
    },
    async pull(controller) {
      stall.clear()
      if (exchange.over) return
      const write = (text: string) => {
        if (text && !exchange.over) controller.enqueue(encoder.encode(text))
      }
      const close = () => {
        if (exchange.over) return
        controller.close()
        exchange.end()
      }
      await pull(write, close)
      if (!exchange.over) stall.begin()
    },
    cancel() {
      stall.clear()
      exchange.leave('left')
      exchange.end()
    },
  })
}

/** Drops a client that does not take what it was sent. */
export class Stall {
  readonly #exchange: Exchange
  readonly #milliseconds: number
  #timer: NodeJS.Timeout | undefined
  breakOff = () => {}

  constructor(exchange: Exchange, seconds: number) {
    this.#exchange = exchange
    this.#milliseconds = seconds * 1000
  }

  begin(): void {
    this.#timer = setTimeout(() => this.#exchange.drop(this.breakOff), this.#milliseconds)
  }

  clear(): void {
    clearTimeout(this.#timer)
  }
}
