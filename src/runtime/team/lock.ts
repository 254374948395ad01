// A lock in a word of shared memory, for sections of microseconds: a thread that finds it held sleeps until it is free.
// Owns the word. Does not know what the lock guards.

/** Values of the word; 0 is free. */
const HELD = 1
/** Held, and perhaps a thread sleeps until it is free. */
const CONTENDED = 2

/** Runs `work` while no other thread holds the lock in words[at]. */
export function withLock<T>(words: Int32Array, at: number, work: () => T): T {
  if (Atomics.compareExchange(words, at, 0, HELD) !== 0) {
    while (Atomics.exchange(words, at, CONTENDED) !== 0) Atomics.wait(words, at, CONTENDED)
  }
  try {
    return work()
  } finally {
    if (Atomics.exchange(words, at, 0) === CONTENDED) Atomics.notify(words, at, 1)
  }
}
