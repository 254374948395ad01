// The shared words through which a team's threads and the main thread meet. Owns their numbers and says who is on the other side of each.

/** Offsets into the Int32Array all share. */
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
  /** Main sets it to ask for an early end of the command; the last thread at a barrier reads it, and so may any thread in a long stage. */
  cancel: 6,
  /** The last thread at a barrier copies `cancel` here, so that all leave at the same barrier. */
  cancelled: 7,
  /** Threads asleep on `generation`: the last one at a barrier wakes them only if there are any. */
  sleepers: 8,
  /** Threads add what they have loaded, in units of 4096 bytes; main reads it for a progress bar. */
  progress: 9,
  /** Threads count up when there is something for the attendants to do; idle attendants wait on it. Main too, when they are to go. */
  errand: 10,
  /** Attendants, and threads that did their work, count up when something is done; a thread that needs it waits on it. */
  delivery: 11,
} as const

export const CONTROL_WORDS = 16

/** Counts one of the words up and wakes who waits on it. */
export function announce(words: Int32Array, which: number): void {
  Atomics.add(words, which, 1)
  Atomics.notify(words, which)
}

/** The command that ends a thread's task. Other codes are the team user's. */
export const LEAVE = 0
