// A generator that is ended when nobody holds it any more: a loop that was forgotten gives back what it has. Owns the
// watch over garbage collection; what a generator does, it does not know.

/** Holds the inner generators alone: they do not know the outer ones, which can so be collected. */
const forgotten = new FinalizationRegistry<AsyncGenerator<unknown, unknown>>((inner) => {
  inner.return(undefined).catch(() => {}) // nobody is there to hear of it
})

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
