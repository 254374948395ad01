// Which experts each row of a step was routed to, in memory that main and the threads share: the thread that routes a
// row writes them, main reads them between steps. Owns their places.

import type { MixtralConfig } from '../weights/mixtralConfig.js'

type Shape = Pick<MixtralConfig, 'layers' | 'expertsPerToken'>

/** The experts of one token: in each layer those that were used, best first. */
export interface Routing {
  /** (layers, used) */
  readonly ids: Uint16Array
  /** (layers, used): what their outputs are multiplied by; together 1 in each layer. */
  readonly weights: Float32Array
}

export interface RouteMemory {
  readonly ids: Uint16Array
  readonly weights: Float32Array
}

export class Routes {
  readonly #memory: RouteMemory
  /** Numbers of a row. */
  readonly #row: number
  readonly #used: number

  constructor({ layers, expertsPerToken }: Shape, memory: RouteMemory) {
    this.#memory = memory
    this.#row = layers * expertsPerToken
    this.#used = expertsPerToken
  }

  /** Shared memory for steps of so many rows. */
  static create({ layers, expertsPerToken }: Shape, rows: number): RouteMemory {
    const count = rows * layers * expertsPerToken
    return { ids: new Uint16Array(new SharedArrayBuffer(count * 2)), weights: new Float32Array(new SharedArrayBuffer(count * 4)) }
  }

  /** Writes the experts of a row in a layer: those at `idsAt` of ids, with the weights at `weightsAt`. */
  write(row: number, layer: number, ids: Int32Array, idsAt: number, weights: Float32Array, weightsAt: number): void {
    const at = row * this.#row + layer * this.#used
    for (let k = 0; k < this.#used; k++) {
      this.#memory.ids[at + k] = ids[idsAt + k]!
      this.#memory.weights[at + k] = weights[weightsAt + k]!
    }
  }

  /** A copy of what a row was routed to. */
  read(row: number): Routing {
    const at = row * this.#row
    return {
      ids: Uint16Array.from(this.#memory.ids.subarray(at, at + this.#row)),
      weights: Float32Array.from(this.#memory.weights.subarray(at, at + this.#row)),
    }
  }

  /** Adds the first rows to counts of uses: (layers, experts). */
  count(rows: number, counts: Float64Array, experts: number): void {
    const { ids } = this.#memory
    for (let i = 0; i < rows * this.#row; i++) {
      const layer = Math.floor((i % this.#row) / this.#used)
      counts[layer * experts + ids[i]!]!++
    }
  }
}
