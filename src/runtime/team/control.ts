// The shared words through which a team's threads and the main thread synchronize, and a lock in such a word. Owns the
// words' offsets, and states which side writes each word and which side waits on it. Does not know what commands and
// units are, nor what the lock guards.

/**
 * Words of a cache line, and of the one that processors fetch with it. Words that different threads write often stand
 * on lines of their own: a line goes from core to core with every write.
 */
const LINE = 32

/** Offsets into the Int32Array that all threads share. */
export const word = {
  /** Main counts up to issue a command; threads between commands wait on it. */
  command: 0,
  /** Main writes which command before counting up; threads read it after. */
  code: 1,
  /** Main sets it to 1 when a thread has died; every thread that waits sees it and gives up. */
  stopped: 2,
  /**
   * Main sets it to 1 to end the command early. The last thread at a barrier reads it; any thread may in a long stage.
   */
  cancel: 3,
  /** Threads count up when their task begins. */
  begun: 4,
  /** The last thread at a barrier counts up; the others wait on it. */
  generation: LINE,
  /** The last thread at a barrier copies `cancel` here, so that all leave at the same barrier. */
  cancelled: LINE + 1,
  /** Groups of seats that have arrived, all of them, at the current barrier. The last one sets it back to 0. */
  arrived: 2 * LINE,
  /** Threads asleep on `generation`: the last one at a barrier wakes them only if there are any. */
  sleepers: 2 * LINE + 1,
  /**
   * Threads: how many units of the current stage have been claimed, behind the first of each thread. Stages use this
   * word and the next line's in turn; the last thread at a barrier sets the one back to 0 whose stage has ended, while
   * the others go on.
   */
  claim: 3 * LINE,
  /** Threads add what they have loaded, in units of 4096 bytes; main reads it for a progress bar. */
  progress: 5 * LINE,
  /** Threads count up when there may be background work, main when background threads must leave; they wait on it. */
  backgroundWork: 6 * LINE,
  /**
   * Background threads, and others that did their work, count up when a result is ready; a thread that needs it waits
   * on it.
   */
  ready: 7 * LINE,
  /**
   * Seats of a group that have arrived at the current barrier, a line for each group. The last one sets it back to 0.
   */
  arrivedOfGroup: 8 * LINE,
} as const

/** Seats that count their arrivals at a barrier in one word: few enough to wait little for each other. */
const GROUP_SEATS = 8

/** The word of a stage's claims: `stage` counts barriers. */
export const claimWord = (stage: number) => word.claim + (stage & 1) * LINE

/** The word of a seat's group. */
export const groupWord = (seat: number) => word.arrivedOfGroup + Math.floor(seat / GROUP_SEATS) * LINE

export const groupsOf = (seats: number) => Math.ceil(seats / GROUP_SEATS)

/** How many seats a seat's group has. */
export const seatsOfGroup = (seat: number, seats: number) => Math.min(GROUP_SEATS, seats - Math.floor(seat / GROUP_SEATS) * GROUP_SEATS)

export const controlWords = (seats: number) => word.arrivedOfGroup + groupsOf(seats) * LINE

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
