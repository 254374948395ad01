// A thread's side of the team: claims units of work and meets the other threads at barriers. All threads run the same
// program, so they make the same calls in the same order; only the claimed units differ. Owns waiting, spinning first
// and then asleep, and the numbering of units of several parts. Does not know what the work is.

import { announce, claimWord, groupsOf, groupWord, RECHECK_MS, seatsOfGroup, word } from './control.js'

/** All threads leave the command at the same barrier: main asked for it. */
export class Cancelled extends Error {}
/** Another thread has died: this one gives up. */
export class Stopped extends Error {}

/**
 * How often a waiting thread looks at the word before it sleeps: for about 0.1 milliseconds, which a unit of a large
 * model takes. Not longer: where other processes need the cores too, a spinning thread may hold up the one it waits
 * for.
 */
const SPINS = 10_000

export class Crew {
  readonly seat: number
  readonly seats: number
  readonly #words: Int32Array
  readonly #spins: number
  readonly #group: number
  readonly #ofGroup: number
  readonly #groups: number
  /** Whether this thread has claimed no unit of the current stage yet. */
  #isFirst = true
  #own = 0
  /** Barriers so far. */
  #stage = 0

  /** seat: this thread's number, from 0. spin: whether it may spin while it waits; not with more threads than cores. */
  constructor(words: Int32Array, seat: number, seats: number, spin: boolean) {
    this.seat = seat
    this.seats = seats
    this.#words = words
    this.#spins = spin ? SPINS : 0
    this.#group = groupWord(seat)
    this.#ofGroup = seatsOfGroup(seat, seats)
    this.#groups = groupsOf(seats)
  }

  /**
   * The next unit of the current stage, counting from 0. Each unit goes to one thread; the first that a thread gets is
   * that of its seat, for which it need not ask the others. units: how many there are, if known: a number from there on
   * says that there is none.
   */
  claim(units = Number.POSITIVE_INFINITY): number {
    if (this.#isFirst) {
      this.#isFirst = false
      return this.seat
    }
    if (units <= this.seats) return units
    return this.seats + (this.seats === 1 ? this.#own++ : Atomics.add(this.#words, claimWord(this.#stage), 1))
  }

  /** Ends a stage: returns when every thread has called it. Throws `Cancelled` or `Stopped`. */
  barrier(): void {
    const words = this.#words
    this.#isFirst = true
    if (this.seats === 1) {
      this.#own = 0
      if (Atomics.load(words, word.stopped)) throw new Stopped()
      if (Atomics.load(words, word.cancel)) throw new Cancelled()
      return
    }
    const generation = Atomics.load(words, word.generation)
    const stage = this.#stage++
    if (this.#arriveLast()) {
      const cancel = Atomics.load(words, word.cancel)
      if (cancel !== Atomics.load(words, word.cancelled)) Atomics.store(words, word.cancelled, cancel)
      Atomics.add(words, word.generation, 1)
      if (Atomics.load(words, word.sleepers)) Atomics.notify(words, word.generation)
      Atomics.store(words, claimWord(stage), 0)
    } else {
      this.#wait(generation)
    }
    if (Atomics.load(words, word.cancelled)) throw new Cancelled()
  }

  /** Counts this thread among those that have arrived: in its group, and the group's last among the groups. */
  #arriveLast(): boolean {
    const words = this.#words
    if (Atomics.add(words, this.#group, 1) !== this.#ofGroup - 1) return false
    Atomics.store(words, this.#group, 0)
    if (this.#groups === 1) return true
    if (Atomics.add(words, word.arrived, 1) !== this.#groups - 1) return false
    Atomics.store(words, word.arrived, 0)
    return true
  }

  /** Whether main has asked for an early end. Long stages check it, and go to the next barrier. */
  get cancelRequested(): boolean {
    return Atomics.load(this.#words, word.cancel) === 1
  }

  /** Wakes the background threads: there may be work for them. */
  wakeBackground(): void {
    announce(this.#words, word.backgroundWork)
  }

  /** Wakes the threads that wait for a result of background work. */
  signalReady(): void {
    announce(this.#words, word.ready)
  }

  /** How often `signalReady` has been called, by all threads together. */
  get readyCount(): number {
    return Atomics.load(this.#words, word.ready)
  }

  /** Sleeps until `readyCount` is another than `known`, or until it is time to call `checkStopped`. */
  waitReady(known: number): void {
    Atomics.wait(this.#words, word.ready, known, RECHECK_MS)
  }

  /** Throws `Stopped` where a barrier would: for threads that wait elsewhere. */
  checkStopped(): void {
    if (Atomics.load(this.#words, word.stopped)) throw new Stopped()
  }

  /** Adds to the progress that main shows. */
  progress(bytes: number): void {
    Atomics.add(this.#words, word.progress, Math.round(bytes / 4096))
  }

  /** Waits until the word `generation` has another value. */
  #wait(generation: number): void {
    const words = this.#words
    for (let i = 0; i < this.#spins; i++) if (Atomics.load(words, word.generation) !== generation) return
    Atomics.add(words, word.sleepers, 1)
    while (Atomics.load(words, word.generation) === generation) {
      if (Atomics.load(words, word.stopped)) throw new Stopped()
      Atomics.wait(words, word.generation, generation, RECHECK_MS)
    }
    Atomics.sub(words, word.sleepers, 1)
  }
}

/** Where a unit lies. */
interface UnitPlace {
  readonly part: number
  /** Its number within the part. */
  readonly unit: number
}

/**
 * Returns a function from a unit's number to its place, undefined past the last unit. Numbers must not fall from call
 * to call, as those of `claim` do not within a stage: the search goes on from the last place.
 */
export function unitFinder(counts: readonly number[]): (number: number) => UnitPlace | undefined {
  let part = 0
  let first = 0 // number of the part's first unit
  return (number) => {
    while (part < counts.length && number >= first + counts[part]!) first += counts[part++]!
    return part < counts.length ? { part, unit: number - first } : undefined
  }
}
