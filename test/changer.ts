// A caller that changes its arguments at the wrong moments: lists, objects, typed arrays and maps, in place, while a
// call runs. Numbers come from a seed.

import { setImmediate as nextTurn } from 'node:timers/promises'

/** Numbers from 0 to 1, the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const junk: readonly (() => unknown)[] = [() => 1e9, () => -5, () => Number.NaN, () => 0, () => 'x', () => null, () => undefined]

export class Changer {
  readonly #random: () => number
  #running = true

  constructor(seed: number) {
    this.#random = seeded(seed)
  }

  /** Changes what can be changed in the values: at once, and at every turn of the event loop until `stop`. */
  start(values: readonly unknown[]): void {
    this.change(values)
    void this.#turns(values)
    void this.#microtasks(values)
  }

  stop(): void {
    this.#running = false
  }

  /** Changes values in place, but not the list of them. */
  change(values: readonly unknown[]): void {
    for (const value of values) this.#change(value, 0)
  }

  async #turns(values: readonly unknown[]): Promise<void> {
    while (this.#running) {
      await nextTurn()
      this.change(values)
    }
  }

  /** A few: more of them would keep everything else from running. */
  async #microtasks(values: readonly unknown[]): Promise<void> {
    for (let i = 0; i < 50 && this.#running; i++) {
      await undefined
      this.change(values)
    }
  }

  #junk(): unknown {
    return junk[Math.floor(this.#random() * junk.length)]!()
  }

  #change(value: unknown, depth: number): void {
    if (typeof value !== 'object' || value === null || depth > 6) return
    if (Array.isArray(value)) this.#changeList(value, depth)
    else if (ArrayBuffer.isView(value)) (value as Int32Array).fill(this.#random() < 0.5 ? 1e9 : -5)
    else if (value instanceof Map) value.set('llama.block_count', this.#junk())
    else if (Object.getPrototypeOf(value) === Object.prototype) this.#changeObject(value as Record<string, unknown>, depth)
  }

  #changeList(list: unknown[], depth: number): void {
    for (const item of list) this.#change(item, depth + 1)
    const how = this.#random()
    if (how < 0.3) list.push(...Array.from({ length: Math.floor(this.#random() * 200) }, () => 300))
    else if (how < 0.5) list.length = Math.floor(list.length / 2)
    else if (how < 0.8) list.fill(this.#junk())
    else list.unshift(this.#junk())
    if (list.length > 2000) list.length = 10
  }

  #changeObject(object: Record<string, unknown>, depth: number): void {
    for (const name of Object.keys(object)) {
      this.#change(object[name], depth + 1)
      const how = this.#random()
      if (how < 0.4) object[name] = this.#junk()
      else if (how < 0.5) delete object[name]
    }
    if (this.#random() < 0.2) object.unheardOf = 1
  }
}

/** What a call gives, whatever its form: the end of a promise, or all that a generator yields. */
export async function settle(result: unknown): Promise<unknown> {
  const value = await result
  if (typeof value !== 'object' || value === null || !(Symbol.asyncIterator in value)) return value
  const all: unknown[] = []
  for await (const one of value as AsyncIterable<unknown>) all.push(one)
  return all
}
