// A thread's side of the team: claims units of work and meets the other threads at barriers. All threads run the same program and so make the same calls in the
// same order; only claimed units differ. Knows nothing of what the work is.

import { announce, word } from './control.js'

/** All threads leave the command at the same barrier: main asked for it. */
export class Cancelled extends Error {}
/** Another thread has died: this one gives up. */
export class Stopped extends Error {}

/**
 * How long a waiting thread looks before it sleeps: about 0.1 milliseconds, what a unit of a large model takes. Not longer: where other processes want the cores too, a
 * thread that looks keeps them from the one it waits for.
 */
const SPINS = 10_000
/** A sleeping thread wakes this often, in milliseconds, to see whether the team was stopped. */
const NAP = 100

export class Crew {
  readonly seat: number
  readonly seats: number
  readonly #words: Int32Array
  readonly #spins: number
  #own = 0

  /** seat: this thread's number, from 0. spin: whether waiting may burn a core (not when there are more threads than cores). */
  constructor(words: Int32Array, seat: number, seats: number, spin: boolean) {
    this.seat = seat
    this.seats = seats
    this.#words = words
    this.#spins = spin ? SPINS : 0
  }

  /** The next unit of the current stage, counting from 0; whoever asks first gets it. */
  claim(): number {
    return this.seats === 1 ? this.#own++ : Atomics.add(this.#words, word.claim, 1)
  }

  /** Ends a stage: returns when every thread has got here. Throws `Cancelled` or `Stopped`. */
  barrier(): void {
    const words = this.#words
    if (this.seats === 1) {
      this.#own = 0
      if (Atomics.load(words, word.stopped)) throw new Stopped()
      if (Atomics.load(words, word.cancel)) throw new Cancelled()
      return
    }
    const generation = Atomics.load(words, word.generation)
    if (Atomics.add(words, word.arrived, 1) === this.seats - 1) {
      Atomics.store(words, word.arrived, 0)
      Atomics.store(words, word.claim, 0)
      Atomics.store(words, word.cancelled, Atomics.load(words, word.cancel))
      Atomics.add(words, word.generation, 1)
      if (Atomics.load(words, word.sleepers)) Atomics.notify(words, word.generation)
    } else {
      this.#wait(generation)
    }
    if (Atomics.load(words, word.cancelled)) throw new Cancelled()
  }

  /** Whether main has asked for an early end: long stages look, and leave for the next barrier. */
  get cancelRequested(): boolean {
    return Atomics.load(this.#words, word.cancel) === 1
  }

  /** Tells the attendants that there is something to do. */
  call(): void {
    announce(this.#words, word.errand)
  }

  /** Tells the threads that wait for deliveries that something is there. */
  deliver(): void {
    announce(this.#words, word.delivery)
  }

  /** How many deliveries there have been. */
  get deliveries(): number {
    return Atomics.load(this.#words, word.delivery)
  }

  /** Returns when there have been others than the `known` deliveries, or after a nap. */
  awaitDelivery(known: number): void {
    Atomics.wait(this.#words, word.delivery, known, NAP)
  }

  /** For who waits outside of barriers: throws `Stopped` where a barrier would. */
  checkStopped(): void {
    if (Atomics.load(this.#words, word.stopped)) throw new Stopped()
  }

  /** Adds to the progress that main shows. */
  progress(bytes: number): void {
    Atomics.add(this.#words, word.progress, Math.round(bytes / 4096))
  }

  /** Waits until the generation is another than `generation`. */
  #wait(generation: number): void {
    const words = this.#words
    for (let i = 0; i < this.#spins; i++) if (Atomics.load(words, word.generation) !== generation) return
    Atomics.add(words, word.sleepers, 1)
    while (Atomics.load(words, word.generation) === generation) {
      if (Atomics.load(words, word.stopped)) throw new Stopped()
      Atomics.wait(words, word.generation, generation, NAP)
    }
    Atomics.sub(words, word.sleepers, 1)
  }
}
