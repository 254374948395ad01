// The shared words through which a team's threads and the main thread synchronize, and a lock in such a word. Owns the
// words' offsets, and states which side writes each word and which side waits on it. Does not know what commands and
// units are, nor what the lock guards.

/** Offsets into the Int32Array that all threads share. */
export const word = {
  /** Main counts up to issue a command; threads between commands wait on it. */
  command: 0,
  /** Main writes which command before counting up; threads read it after. */
  code: 1,
  /** Threads: how many have arrived at the current barrier. The last one sets it back to 0. */
  arrived: 2,
  /** The last thread at a barrier counts up; the others wait on it. */
  generation: 3,
  /** Threads: the next unit of the current stage. The last one at a barrier sets it back to 0. */
  claim: 4,
  /** Main sets it to 1 when a thread has died; every thread that waits sees it and gives up. */
  stopped: 5,
  /**
   * Main sets it to 1 to end the command early. The last thread at a barrier reads it; any thread may in a long stage.
   */
  cancel: 6,
  /** The last thread at a barrier copies `cancel` here, so that all leave at the same barrier. */
  cancelled: 7,
  /** Threads asleep on `generation`: the last one at a barrier wakes them only if there are any. */
  sleepers: 8,
  /** Threads add what they have loaded, in units of 4096 bytes; main reads it for a progress bar. */
  progress: 9,
  /** Threads count up when there may be background work, main when background threads must leave; they wait on it. */
  backgroundWork: 10,
  /**
   * Background threads, and others that did their work, count up when a result is ready; a thread that needs it waits
   * on it.
   */
  ready: 11,
  /** Threads count up when their task begins. */
  begun: 12,
} as const

export const CONTROL_WORDS = 16

/** Adds 1 to one of the words and wakes the threads that wait on it. */
export function announce(words: Int32Array, which: number): void {
  Atomics.add(words, which, 1)
  Atomics.notify(words, which)
}

/** The command that ends a thread's task. The user of the team defines the others. */
export const LEAVE = 0

/** A sleeping thread wakes after this many milliseconds to see whether the team was stopped. */
export const RECHECK_MS = 100

/** Values of the word of a lock; 0 is free. */
const HELD = 1
/** Held, and perhaps a thread sleeps until it is free. */
const CONTENDED = 2

/**
 * Runs `work`, of microseconds, while no other thread holds the lock in words[at]: a thread that finds it held sleeps
 * until it is free.
 */
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
