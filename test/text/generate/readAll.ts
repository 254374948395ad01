// Reads streams to their end. Not a test.

/** What a generator yields, and what it returns. */
export async function readAll<T, R>(pieces: AsyncGenerator<T, R>): Promise<{ pieces: T[]; result: R }> {
  const read: T[] = []
  for (;;) {
    const { done, value } = await pieces.next()
    if (done) return { pieces: read, result: value }
    read.push(value)
  }
}

/** What a generator returns. */
export async function resultOf<R>(pieces: AsyncGenerator<unknown, R>): Promise<R> {
  return (await readAll(pieces)).result
}
