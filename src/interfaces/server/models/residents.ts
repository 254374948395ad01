// What is in memory, and for how long: loads on demand, one after the other; unloads what nobody has asked for in its
// time, and what was used least recently where another one needs the memory. Nothing is unloaded while it is used.
// Knows neither models nor names.

import { abortedError, closedError } from '../../../base/errors.js'
import { unless } from '../../../base/onAbort.js'

/** What is in memory. */
export interface Resident {
  /** Bytes that it takes. */
  readonly bytes: number
  close(): Promise<void>
}

/** What can be loaded. */
export interface Loadable<T extends Resident> {
  /** Tells it from everything else. */
  readonly key: string
  /** Bytes of memory that it takes if there is enough. */
  bytes(signal: AbortSignal): Promise<number>
  /** @param room bytes that it may take: it may have to do with less than it would like to */
  load(room: number, signal: AbortSignal): Promise<T>
}

/** A use, which keeps its object in memory. */
export interface Lease<T> {
  readonly value: T
  /** Fires when its memory is wanted for something else, which waits for the end of all uses. Undefined: never. */
  readonly wanted?: AbortSignal
  /** The use is over. Called more than once, it counts once. */
  release(): void
}

export interface ResidentsOptions {
  /** Seconds that something stays after its last use, unless a use says otherwise. */
  readonly keepAliveSeconds: number
  /** Bytes that may be taken beside the `taken` ones, once the `freed` ones are free. */
  readonly room: (taken: number, freed: number) => number
  /** Called when something was closed, and before its memory counts as free. */
  readonly reclaim: (closed: WeakRef<Resident>) => Promise<void>
}

export interface BorrowOptions {
  readonly signal?: AbortSignal | undefined
  /** Seconds that it stays after this use and those to come. */
  readonly keepAliveSeconds?: number | undefined
}

/** The longest time of a timer. */
const LONGEST_TIMER = 2 ** 31 - 1

/** Something that is loaded, or is about to be. */
class Slot<T extends Resident> {
  readonly what: Loadable<T>
  readonly controller = new AbortController()
  readonly wanted = new AbortController()
  readonly gone: Promise<void>
  readonly leave: () => void
  ready: Promise<void> = Promise.resolve()
  value: T | undefined
  /** Bytes of memory, until they are free again. */
  taken = 0
  /** Uses that are not over, and those that wait for the load. */
  uses = 0
  /** The number of its last use, among all. */
  used = 0
  keepAliveSeconds: number
  /** When it is unloaded, in milliseconds since 1970; undefined while it is used. */
  ends: number | undefined
  timer: NodeJS.Timeout | undefined
  /** Whether it is unloaded as soon as nobody uses it, so that new uses wait for its end. */
  leaves = false
  closing = false
  isGone = false

  constructor(what: Loadable<T>, keepAliveSeconds: number) {
    this.what = what
    this.keepAliveSeconds = keepAliveSeconds
    let leave = () => {}
    this.gone = new Promise((resolve) => {
      leave = resolve
    })
    this.leave = leave
  }
}

export class Residents<T extends Resident> {
  readonly #options: ResidentsOptions
  readonly #slots = new Map<string, Slot<T>>()
  #line: Promise<unknown> = Promise.resolve()
  #uses = 0
  #closed = false

  constructor(options: ResidentsOptions) {
    this.#options = options
  }

  /** What is in memory, the last used first, and when it is unloaded unless it is used. */
  list(): { readonly key: string; readonly value: T; readonly ends: number }[] {
    const slots = [...this.#slots.values()].filter(({ value }) => value !== undefined).sort((a, b) => b.used - a.used)
    return slots.map(({ what: { key }, value, ends, keepAliveSeconds }) => ({
      key,
      value: value!,
      ends: ends ?? Date.now() + keepAliveSeconds * 1000,
    }))
  }

  /** A use of what is in memory; undefined if it is not, or about to leave. */
  take(key: string, keepAliveSeconds?: number): Lease<T> | undefined {
    const slot = this.#slots.get(key)
    if (!slot?.value || slot.leaves) return undefined
    this.#use(slot, keepAliveSeconds)
    return this.#lease(slot)
  }

  /** What is in memory, and neither used nor about to leave. */
  idle(key: string): T | undefined {
    const slot = this.#slots.get(key)
    return slot && slot.uses === 0 && !slot.leaves ? slot.value : undefined
  }

  /** Bytes that something may take in place of what it takes now. */
  roomWithout(key: string): number {
    return this.#room(this.#slots.get(key)?.taken)
  }

  /** When something that is about to leave has left; undefined if it stays, or is not there. */
  leaving(key: string): Promise<void> | undefined {
    const slot = this.#slots.get(key)
    return slot?.leaves ? slot.gone : undefined
  }

  /**
   * A use of what is in memory, or gets there: those who wait for one thing share its load, and if all of them give up,
   * the load ends. Ask `leaving` first. Throws what loading throws, to all who wait; `ABORTED`, and `CLOSED`.
   */
  async borrow(what: Loadable<T>, { signal, keepAliveSeconds }: BorrowOptions = {}): Promise<Lease<T>> {
    if (this.#closed) throw closedError()
    if (signal?.aborted) throw abortedError(signal)
    const slot = this.#slots.get(what.key) ?? this.#begin(what)
    this.#use(slot, keepAliveSeconds)
    try {
      await unless(signal, slot.ready)
    } catch (error) {
      this.#release(slot)
      throw error
    }
    return this.#lease(slot)
  }

  /**
   * Unloads something as soon as nobody uses it or waits for its load. Resolves when it is gone, or, if it is used, at
   * once.
   */
  async unload(key: string): Promise<void> {
    const slot = this.#slots.get(key)
    if (!slot) return
    slot.leaves = true
    slot.wanted.abort()
    if (slot.closing || (slot.value && slot.uses === 0)) await this.#close(slot)
  }

  /** Unloads something as soon as nobody uses it, also if it is being loaded. Resolves when it is gone. */
  async evict(key: string, signal?: AbortSignal): Promise<void> {
    const slot = this.#slots.get(key)
    if (!slot) return
    this.#dismiss(slot)
    await unless(signal, slot.gone)
  }

  /** Ends all loads, and unloads everything. Uses fail, each in its way. */
  async close(): Promise<void> {
    this.#closed = true
    for (const slot of this.#slots.values()) {
      slot.leaves = true
      if (slot.value) void this.#close(slot)
      else slot.controller.abort()
    }
    await Promise.all([...this.#slots.values()].map(({ gone }) => gone))
  }

  #begin(what: Loadable<T>): Slot<T> {
    const slot = new Slot(what, this.#options.keepAliveSeconds)
    this.#slots.set(what.key, slot)
    slot.ready = this.#line.then(() => this.#load(slot))
    this.#line = slot.ready.catch(() => {}) // the next load begins whatever became of this one
    return slot
  }

  async #load(slot: Slot<T>): Promise<void> {
    const { what, controller } = slot
    const { signal } = controller
    try {
      if (signal.aborted) throw abortedError(signal)
      await this.#makeRoom(await what.bytes(signal), signal)
      if (signal.aborted) throw abortedError(signal)
      const value = await what.load(this.#room(), signal)
      if (!signal.aborted) {
        slot.value = value
        slot.taken = value.bytes
        return
      }
      await value.close()
      throw abortedError(signal)
    } catch (error) {
      this.#remove(slot)
      throw this.#closed ? closedError() : error
    }
  }

  /** Unloads others until there is room, or no others are left. What is used is waited for. */
  async #makeRoom(bytes: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      if (signal.aborted) throw abortedError(signal)
      if (bytes <= this.#room()) return
      const others = [...this.#slots.values()].filter(({ taken }) => taken > 0)
      // one that leaves anyway goes first, then what is idle, then what was used longest ago
      const rank = (slot: Slot<T>) => (slot.closing ? 0 : slot.uses === 0 ? 1 : slot.leaves ? 2 : 3)
      const [first] = others.sort((a, b) => rank(a) - rank(b) || a.used - b.used)
      if (!first) return
      this.#dismiss(first)
      await unless(signal, first.gone)
    }
  }

  #room(freed = 0): number {
    let taken = -freed
    for (const slot of this.#slots.values()) taken += slot.taken
    return this.#options.room(taken, freed)
  }

  /** It leaves as soon as nobody uses it. */
  #dismiss(slot: Slot<T>): void {
    slot.leaves = true
    slot.wanted.abort()
    if (slot.uses === 0 && slot.value) void this.#close(slot)
  }

  #use(slot: Slot<T>, keepAliveSeconds: number | undefined): void {
    slot.uses++
    slot.used = ++this.#uses
    slot.ends = undefined
    clearTimeout(slot.timer)
    if (keepAliveSeconds !== undefined) slot.keepAliveSeconds = keepAliveSeconds
  }

  #lease(slot: Slot<T>): Lease<T> {
    let over = false
    return {
      value: slot.value!,
      wanted: slot.wanted.signal,
      release: () => {
        if (!over) this.#release(slot)
        over = true
      },
    }
  }

  #release(slot: Slot<T>): void {
    slot.uses--
    slot.used = ++this.#uses
    if (slot.uses > 0 || slot.closing || slot.isGone) return
    if (!slot.value) {
      slot.leaves = true // nobody waits for the load any more
      slot.controller.abort()
    } else if (slot.leaves || slot.keepAliveSeconds <= 0) void this.#close(slot)
    else if (Number.isFinite(slot.keepAliveSeconds)) {
      slot.ends = Date.now() + slot.keepAliveSeconds * 1000
      this.#arm(slot)
    }
  }

  #arm(slot: Slot<T>): void {
    const left = slot.ends! - Date.now()
    const then = () => (slot.ends! > Date.now() ? this.#arm(slot) : void this.#close(slot))
    slot.timer = setTimeout(then, Math.min(Math.max(left, 0), LONGEST_TIMER))
    slot.timer.unref()
  }

  async #close(slot: Slot<T>): Promise<void> {
    if (slot.closing) return slot.gone
    slot.closing = true
    slot.leaves = true
    clearTimeout(slot.timer)
    const held = new WeakRef(slot.value!)
    await slot.value!.close().catch(() => {}) // it has ended in any case
    slot.value = undefined
    await this.#options.reclaim(held)
    this.#remove(slot)
  }

  #remove(slot: Slot<T>): void {
    slot.isGone = true
    slot.value = undefined
    this.#slots.delete(slot.what.key)
    slot.leave()
  }
}
