// The stream of an answer as a caller holds it: pieces, and a promise of the whole result. Owns what becomes of the
// result when a stream is left early, or read by nobody, and the watch over garbage collection: a generator that nobody
// holds any more is ended, so that a loop that was forgotten gives back what it has. Does not know how pieces come
// about.

import { MixtralError, type PartialAnswer, withPartial } from '../../base/errors.js'
import type { AnswerStream, GenerationResult, Piece } from './generationResult.js'

/** Holds the inner generators alone: they do not know the outer ones, which can so be collected. */
const forgotten = new FinalizationRegistry<AsyncGenerator<unknown, unknown>>((inner) => {
  inner.return(undefined).catch(() => {}) // nobody is there to hear of it
})

/** A generator that is ended when nobody holds it any more. What it does, it does not know. */
export class HeldGenerator<T, R = void> implements AsyncGenerator<T, R, void> {
  readonly #inner: AsyncGenerator<T, R>

  constructor(inner: AsyncGenerator<T, R>) {
    this.#inner = inner
    forgotten.register(this, inner, inner)
  }

  next(): Promise<IteratorResult<T, R>> {
    return watched(this.#inner, this.#inner.next())
  }

  return(value: R | PromiseLike<R>): Promise<IteratorResult<T, R>> {
    return watched(this.#inner, this.#inner.return(value))
  }

  throw(error: unknown): Promise<IteratorResult<T, R>> {
    return watched(this.#inner, this.#inner.throw(error))
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return(undefined as never)
  }
}

/**
 * A step of a generator. One that has ended is watched no longer: the watch would hold all that it knows, the outer
 * generator too where a caller's function knows that.
 */
async function watched<T, R>(inner: AsyncGenerator<T, R>, step: Promise<IteratorResult<T, R>>): Promise<IteratorResult<T, R>> {
  try {
    const result = await step
    if (result.done) forgotten.unregister(inner)
    return result
  } catch (error) {
    forgotten.unregister(inner)
    throw error
  }
}

type Read<R> = Promise<IteratorResult<Piece, R>>

export class ReadableAnswer<R extends GenerationResult> extends HeldGenerator<Piece, R> implements AnswerStream<R> {
  readonly #outcome: Promise<R>
  #settle!: (result: R) => void
  #fail!: (error: unknown) => void
  #readsAhead = false
  /** What was read for `result`, and no reader has asked for yet. */
  #ahead: Read<R>[] = []
  /** Of each answer, what has been read. */
  readonly #read: { text: string; ids: number[] }[] = []

  constructor(pieces: AsyncGenerator<Piece, R>) {
    super(pieces)
    this.#outcome = new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#fail = reject
    })
    this.#outcome.catch(() => {}) // the pieces tell those who do not ask for the result
  }

  get result(): Promise<R> {
    if (!this.#readsAhead) void this.#readAhead()
    return this.#outcome
  }

  override next(): Read<R> {
    return this.#ahead.shift() ?? this.#take()
  }

  override return(value: R | PromiseLike<R>): Read<R> {
    this.#ahead = []
    const [first = { text: '', ids: [] }, ...others] = this.#read
    const partial: PartialAnswer = others.length === 0 ? first : { ...first, choices: [first, ...others] }
    this.#fail(withPartial(new MixtralError('ABORTED', 'the stream was left before its end'), partial))
    return super.return(value)
  }

  override throw(error: unknown): Read<R> {
    this.#fail(error)
    return super.throw(error)
  }

  #take(): Read<R> {
    const coming = super.next()
    coming.then(
      ({ done, value }) => (done ? this.#settle(value) : this.#add(value)),
      (error: unknown) => this.#fail(error),
    )
    return coming
  }

  #add({ text, ids, index = 0 }: Piece): void {
    while (this.#read.length <= index) this.#read.push({ text: '', ids: [] })
    const read = this.#read[index]!
    read.text += text
    read.ids.push(...ids)
  }

  /** Reads to the end, and keeps the pieces for a later reader. */
  async #readAhead(): Promise<void> {
    this.#readsAhead = true
    try {
      for (let isDone = false; !isDone; ) {
        const coming = this.#take()
        this.#ahead.push(coming)
        isDone = (await coming).done === true
      }
    } catch {
      // the error is that of the result, and of the piece
    }
  }
}
