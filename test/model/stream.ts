// A stream's return value. Not a test.

/** Runs a generator to its end; returns what it returns. */
export async function resultOf<T>(pieces: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const { done, value } = await pieces.next()
    if (done) return value
  }
}
