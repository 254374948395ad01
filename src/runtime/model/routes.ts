// Which experts each row of a step was routed to, and the router's logits, in memory that main and the threads share:
// the thread that routes a row writes them, main reads them between steps. Owns their places.

import type { MixtralConfig } from '../weights/mixtralConfig.js'

type Shape = Pick<MixtralConfig, 'layers' | 'experts'>

/** The experts of one token: in each layer those that were used, best first. */
export interface Routing {
  /** (layers, used) */
  readonly ids: Uint16Array
  /** (layers, used): what their outputs are multiplied by; together 1 in each layer. */
  readonly weights: Float32Array
}

/** The experts of one token, and what the routers said of all. */
export interface FullRouting extends Routing {
  /** (layers, experts): the router's logits, of which the largest were taken. */
  readonly logits: Float32Array
}

export interface RouteMemory {
  readonly ids: Uint16Array
  readonly weights: Float32Array
  readonly logits: Float32Array
}

export class Routes {
  readonly #memory: RouteMemory
  readonly #layers: number
  readonly #experts: number

  constructor({ layers, experts }: Shape, memory: RouteMemory) {
    this.#memory = memory
    this.#layers = layers
    this.#experts = experts
  }

  /** Shared memory for steps of at most `rows` rows, with any number of experts. */
  static create({ layers, experts }: Shape, rows: number): RouteMemory {
    const count = rows * layers * experts
    const floats = () => new Float32Array(new SharedArrayBuffer(count * 4))
    return { ids: new Uint16Array(new SharedArrayBuffer(count * 2)), weights: floats(), logits: floats() }
  }

  /**
   * Writes a row's experts in a layer: the `used` at `idsAt` of ids, with the weights at `weightsAt` of floats; and the
   * logits at `logitsAt`.
   */
  write(
    { row, layer, used }: { readonly row: number; readonly layer: number; readonly used: number },
    ids: Int32Array,
    idsAt: number,
    floats: Float32Array,
    weightsAt: number,
    logitsAt: number,
  ): void {
    const start = row * this.#layers * this.#experts
    const at = start + layer * used
    for (let k = 0; k < used; k++) {
      this.#memory.ids[at + k] = ids[idsAt + k]!
      this.#memory.weights[at + k] = floats[weightsAt + k]!
    }
    const logits = start + layer * this.#experts
    for (let e = 0; e < this.#experts; e++) this.#memory.logits[logits + e] = floats[logitsAt + e]!
  }

  /** A copy of what a row with `used` experts in a layer was routed to. */
  read(row: number, used: number): FullRouting {
    const width = this.#layers * this.#experts
    const at = row * width
    const end = at + this.#layers * used
    return {
      ids: this.#memory.ids.slice(at, end),
      weights: this.#memory.weights.slice(at, end),
      logits: this.#memory.logits.slice(at, at + width),
    }
  }

  /**
   * Copies what `count` rows from `row` on were routed to, each with `used` experts in a layer, to rows `place` and
   * following of a table of tokens.
   */
  copy(row: number, count: number, used: number, { ids, weights, logits }: FullRouting, place: number): void {
    const memory = this.#memory
    const width = this.#layers * this.#experts
    const pairs = this.#layers * used
    for (let i = 0; i < count; i++) {
      const [from, to] = [(row + i) * width, (place + i) * pairs]
      for (let k = 0; k < pairs; k++) {
        ids[to + k] = memory.ids[from + k]!
        weights[to + k] = memory.weights[from + k]!
      }
    }
    logits.set(memory.logits.subarray(row * width, (row + count) * width), place * width)
  }

  /** The same without a copy: valid until the next step. */
  view(row: number, used: number): FullRouting {
    const width = this.#layers * this.#experts
    const at = row * width
    const end = at + this.#layers * used
    const { ids, weights, logits } = this.#memory
    return { ids: ids.subarray(at, end), weights: weights.subarray(at, end), logits: logits.subarray(at, at + width) }
  }

  /** Adds `rows` rows from `row` on, with `used` experts in a layer, to counts of uses: (layers, experts). */
  count(row: number, rows: number, used: number, counts: Float64Array): void {
    const { ids } = this.#memory
    const width = this.#layers * this.#experts
    for (let start = row * width; start < (row + rows) * width; start += width) {
      for (let at = start, own = 0; own < width; own += this.#experts) {
        for (let k = 0; k < used; k++, at++) counts[own + ids[at]!]!++
      }
    }
  }
}
