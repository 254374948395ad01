// What a stream's reader has yet to read: a queue that tells its writer when it is long, so that a slow reader makes
// its own generation wait and no other. Owns the pieces in between.

/** A generation waits while its reader is this many pieces behind. */
const LONG = 64

export class PieceQueue<T> {
  readonly #pieces: T[] = []
  #ended = false
  /** The error, if one ended it: any value. */
  #failure: readonly [error?: unknown] = []
  /** Wakes the reader. */
  #arrived: () => void = () => {}
  /** Called when there is room again. */
  onRoom: () => void = () => {}

  /** Whether the writer should wait. */
  get isLong(): boolean {
    return this.#pieces.length >= LONG
  }

  push(piece: T): void {
    this.#pieces.push(piece)
    this.#arrived()
  }

  /** There is no more to come. With an error, what has not been read is gone, and the reader gets the error. */
  end(...failure: readonly [error?: unknown]): void {
    if (this.#ended) return
    this.#ended = true
    this.#failure = failure
    if (failure.length > 0) this.#pieces.length = 0
    this.#arrived()
  }

  /** All pieces, in their order. Throws the error of the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      const wasLong = this.isLong
      const piece = this.#pieces.shift()
      if (piece !== undefined) {
        if (wasLong) this.onRoom()
        yield piece
      } else if (this.#failure.length > 0) throw this.#failure[0]
      else if (this.#ended) return
      else await new Promise<void>((resolve) => (this.#arrived = resolve))
    }
  }
}
