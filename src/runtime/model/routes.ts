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

  /** Copies the same to row `place` of a table of tokens with `used` experts in a layer: the arrays of all of them. */
  copy(row: number, used: number, { ids, weights, logits }: FullRouting, place: number): void {
    const memory = this.#memory
    const width = this.#layers * this.#experts
    const from = row * width
    const pairs = this.#layers * used
    const to = place * pairs
    for (let i = 0; i < pairs; i++) {
      ids[to + i] = memory.ids[from + i]!
      weights[to + i] = memory.weights[from + i]!
    }
    for (let i = 0; i < width; i++) logits[place * width + i] = memory.logits[from + i]!
  }

  /** The same without a copy: valid until the next step. */
  view(row: number, used: number): FullRouting {
    const width = this.#layers * this.#experts
    const at = row * width
    const end = at + this.#layers * used
    const { ids, weights, logits } = this.#memory
    return { ids: ids.subarray(at, end), weights: weights.subarray(at, end), logits: logits.subarray(at, at + width) }
  }

  /** Adds a row with `used` experts in a layer to counts of uses: (layers, experts). */
  count(row: number, used: number, counts: Float64Array): void {
    const at = row * this.#layers * this.#experts
    for (let i = 0; i < this.#layers * used; i++) counts[Math.floor(i / used) * this.#experts + this.#memory.ids[at + i]!]!++
  }
}
