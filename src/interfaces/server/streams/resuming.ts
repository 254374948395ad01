// Streams that go on elsewhere. An answer follows from model, arithmetic, request and seed alone, so that any replica
// writes it again: who has lost a stream sends the same request to another one, with the id of the last event that
// came, and gets the events behind it, byte for byte. Owns those ids: what they are bound to, how events are counted,
// and what is refused. Knows no API.

import { createHash, randomInt } from 'node:crypto'
import type { Steps } from '../../../base/timeSlice.js'
import { randomSeed } from '../../../runtime/sampler/checkSamplerOptions.js'
import { ApiError, badRequest } from '../apiError.js'
import { type ModelMark, readsClock, sha256 } from '../modelMark.js'
import { seedOf } from '../openai/options.js'
import type { ServedModel } from '../servedModel.js'
import type { AnswerEvent, Outcome } from './answerRuns.js'
import type { Answering, Wire } from './respond.js'

const HEADER = 'Last-Event-ID'

/** Answers of a request whose events are counted, each by itself: an id has a number for each. */
const MOST_ANSWERS = 16

/** What the events of a stream have that follows from no request. */
export interface StreamOrigin {
  /** What ids of answers have behind their beginnings. */
  readonly letters: string
  /** In seconds since 1970. */
  readonly created: number
  /** The request's, or the one that it got. */
  readonly seed: number
}

export interface ResumableStream {
  readonly origin: StreamOrigin
  /**
   * Gives events their ids, and leaves out those that the client has. Throws an ApiError 400 for another number of
   * answers.
   */
  wire(wire: Wire, answers: number): Wire
}

/**
 * Undefined for clients that do not say that they read event streams: many read `data` lines and nothing else. Throws
 * an ApiError 400 for the id of an event of no stream, and for any where answers do not go on.
 */
export function resumingOf(headers: Headers, goesOn: boolean): Answering['resuming'] {
  const lastEventId = headers.get('last-event-id') || undefined
  if (lastEventId !== undefined) {
    if (!goesOn) throw refused('answers of this route cannot be resumed', 'not_resumable')
    parsedId(lastEventId)
  }
  const takesIds = lastEventId !== undefined || /(^|[\s,])text\/event-stream\b/i.test(headers.get('accept') ?? '')
  return takesIds ? { lastEventId, hasAll: lastEventId?.endsWith(LAST) ?? false } : undefined
}

/**
 * The stream that a request asks for, from its first event or behind the one that the client has. Undefined for what is
 * no stream, and where nobody wants ids. Throws an ApiError 400 for an id that belongs to something else.
 * @param kind of the answer: routes of one kind give the same events
 */
export async function resumable(
  kind: 'chat' | 'completion' | 'response' | 'message',
  body: Readonly<Record<string, unknown>>,
  served: ServedModel,
  { resuming, exchange }: Answering,
): Promise<ResumableStream | undefined> {
  if (!resuming) return undefined
  const { lastEventId } = resuming
  const given = lastEventId === undefined ? undefined : parsedId(lastEventId)
  if (body.stream !== true) {
    if (given) throw refused('it is given without stream', 'not_resumable')
    return undefined
  }
  if (kind !== 'completion' && readsClock(served.model)) {
    if (given) throw refused('the template of this model writes the time, so that the prompt is another one now', 'not_resumable')
    return undefined
  }
  const mark = await (given ? served.mark() : served.mark().catch(() => undefined))
  if (!mark) return undefined // without its files, it streams as ever
  const seed = seedOf(body.seed) ?? served.defaults.seed ?? given?.seed ?? randomSeed()
  const { letters, created } = given ?? { letters: someLetters(), created: Math.floor(Date.now() / 1000) }
  const origin = { letters, created, seed }
  const bound = boundTo(mark, served.name, [kind, origin, body])
  if (given) {
    for (const [part, why, code] of PARTS) {
      if (given.bound[part] !== bound[part]) throw refused(`${why}: it has ${given.bound[part]}, expected ${bound[part]}`, code)
    }
    if (given.seed !== seed) throw refused(`the stream was begun with the seed ${given.seed}, expected ${seed}`, 'other_request')
    exchange.note({ resumed: true })
  }
  const prefix = ['m1', letters, created.toString(36), seed.toString(36), bound.model, bound.numerics, bound.request].join('.')
  return {
    origin,
    wire(wire, answers) {
      if (answers <= MOST_ANSWERS && (!given || given.counts.length === answers + 1))
        return new NumberedWire(wire, prefix, answers, given?.counts)
      if (!given) return wire
      throw refused(`it counts the events of ${given.counts.length - 1} answers, expected ${answers}`, 'other_request')
    },
  }
}

/** What a stream belongs to, as its ids have it. */
interface Bound {
  readonly model: string
  readonly numerics: string
  readonly request: string
}

const PARTS = [
  ['model', 'the stream was begun by another model, or one of another name', 'other_model'],
  ['numerics', 'the stream was begun by another version, format of the KV cache, or context length', 'other_numerics'],
  ['request', 'the stream was begun for another request, expected the same route, body and seed', 'other_request'],
] as const

function boundTo({ model, numerics }: ModelMark, name: string, request: unknown): Bound {
  return {
    model: sha256(JSON.stringify([model, name])).slice(0, 8),
    numerics: sha256(numerics).slice(0, 8),
    request: createHash('sha256').update(JSON.stringify(request)).digest('base64url').slice(0, 16),
  }
}

interface ParsedId extends StreamOrigin {
  readonly bound: Bound
  /** Events that the client has: of each answer, and of the stream's end. */
  readonly counts: readonly number[]
}

const FORM =
  /^m1\.([A-Za-z\d]{20})\.([\da-z]{1,8})\.([\da-z]{1,11})\.([\da-f]{8})\.([\da-f]{8})\.([\w-]{16})\.(\d{1,7}(?:-\d{1,7}){1,16})(?:\.e)?$/
/** What the id of the last event ends with. */
const LAST = '.e'
const LONGEST_ID = 256

/** Throws an ApiError 400. Nothing of the id is told: it may be anything. */
function parsedId(id: string): ParsedId {
  const [, letters, created, seed, model, numerics, request, counts] = (id.length <= LONGEST_ID && FORM.exec(id)) || []
  const numbers = { created: Number.parseInt(created ?? '', 36), seed: Number.parseInt(seed ?? '', 36) }
  if (letters === undefined || !Number.isSafeInteger(numbers.seed)) {
    throw refused('expected the id of an event of a stream of this server, or of its replica', 'invalid_last_event_id')
  }
  return { letters, ...numbers, bound: { model: model!, numerics: numerics!, request: request! }, counts: counts!.split('-').map(Number) }
}

function refused(message: string, code: string): ApiError {
  const { status, message: text, param } = badRequest(`${HEADER}: ${message}`, HEADER)
  return new ApiError(status, text, { param, code })
}

function someLetters(): string {
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
  return Array.from({ length: 20 }, () => letters[randomInt(letters.length)]).join('')
}

/**
 * Counts the events of each answer, since only their order in one answer follows from the request: of several answers,
 * the one whose turn it is writes first. What comes behind the last answer is counted by itself.
 */
class NumberedWire implements Wire {
  readonly contentType: string
  readonly begin: string
  readonly ping: string
  readonly wireNames: Wire['wireNames']
  readonly #wire: Wire
  readonly #prefix: string
  readonly #answers: number
  readonly #sent: readonly number[]
  readonly #counts: number[]

  constructor(wire: Wire, prefix: string, answers: number, sent: readonly number[] | undefined) {
    this.#wire = wire
    this.#prefix = prefix
    this.#answers = answers
    this.#sent = sent ?? Array.from({ length: answers + 1 }, () => 0)
    this.#counts = this.#sent.map(() => 0)
    this.contentType = wire.contentType
    this.ping = wire.ping
    this.wireNames = wire.wireNames
    const begin = eventsIn(wire.begin).map((event, i) => this.#numbered(event, Math.min(i, answers - 1)))
    this.begin = begin.join('') || (sent ? wire.ping : '') // who resumes, waits: a sign of life comes with the headers
  }

  *prepare(event: AnswerEvent): Steps<void> {
    if (this.#wire.prepare) yield* this.#wire.prepare(event)
  }

  event(event: AnswerEvent): string {
    const text = this.#wire.event(event)
    // how far a prompt has come hangs on the replica
    return 'part' in event && event.part.progress ? text : this.#all(text, event.index)
  }

  end(outcomes: readonly Outcome[]): string {
    const text = this.#all(this.#wire.end(outcomes), this.#answers, LAST)
    const short = this.#counts.findIndex((count, i) => count < this.#sent[i]!)
    if (short < 0) return text
    const found = `${this.#counts[short]} events ${short < this.#answers ? `of answer ${short}` : 'at the end'}`
    return this.error(refused(`there are ${found}, expected at least ${this.#sent[short]}`, 'other_request'))
  }

  error(error: ApiError): string {
    return this.#wire.error(error)
  }

  whole(outcomes: readonly Outcome[]): object {
    return this.#wire.whole(outcomes)
  }

  errorBody(error: ApiError): object {
    return this.#wire.errorBody(error)
  }

  #all(text: string, index: number, atLast = ''): string {
    return eventsIn(text)
      .map((event, i, { length }) => this.#numbered(event, index, i === length - 1 ? atLast : ''))
      .join('')
  }

  /** An event with its id; nothing if the client has it. The id tells what the client has of the other answers, too. */
  #numbered(event: string, index: number, mark = ''): string {
    if (++this.#counts[index]! <= this.#sent[index]!) return ''
    const counts = this.#counts.map((count, i) => Math.max(count, this.#sent[i]!))
    return `id: ${this.#prefix}.${counts.join('-')}${mark}\n${event}`
  }
}

/** The events of a text, which are JSON on one line. */
function eventsIn(text: string): string[] {
  return text.split(/(?<=\n\n)/).filter((event) => event !== '')
}
