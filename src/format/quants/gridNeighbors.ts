// Which groups of a grid come into question for magnitudes that were rounded one by one: the group itself if the grid
// has it, else those nearest to it. Owns the lists, made when first needed; knows neither signs nor blocks. The idea is
// that of ggml (iq2xs_init_impl, iq3xs_init_impl).

import type { Grid } from './grids.js'

/** A grid, and what is near what. */
export class GridNeighbors {
  readonly size: number
  /** The magnitude of each level, in parts of the least: about 1, 3, 5 and so on. */
  readonly magnitudes: Float64Array
  /** The levels of all groups: (groups, size). */
  readonly levels: Uint8Array
  /** For each of `levels`, its place in a table (size, levels of a magnitude). */
  readonly places: Uint8Array
  /** The value of the least magnitude. */
  readonly least: number
  readonly #lists: (Int16Array | undefined)[]

  constructor({ size, values }: Grid) {
    const known = [...new Set(values)].toSorted((a, b) => a - b)
    this.size = size
    this.least = known[0]!
    this.magnitudes = Float64Array.from(known, (value) => value / this.least)
    this.levels = Uint8Array.from(values, (value) => known.indexOf(value))
    this.places = this.levels.map((level, i) => (i % size) * known.length + level)
    this.#lists = new Array(known.length ** size)
  }

  /**
   * The groups near that of a key: levels as digits, the first magnitude's last. Near are those at the least distance
   * and at the one after it.
   */
  near(key: number): Int16Array {
    const known = this.#lists[key]
    if (known) return known
    const made = this.#make(key)
    this.#lists[key] = made
    return made
  }

  #make(key: number): Int16Array {
    const { size, magnitudes, levels } = this
    const digits = Uint8Array.from({ length: size }, (_, k) => Math.floor(key / magnitudes.length ** k) % magnitudes.length)
    const distances = new Int32Array(levels.length / size)
    let [least, next] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    for (let group = 0; group < distances.length; group++) {
      let distance = 0
      for (let k = 0; k < size; k++) distance += (levels[group * size + k]! - digits[k]!) ** 2
      distances[group] = distance
      if (distance < least) [least, next] = [distance, least]
      else if (distance > least && distance < next) next = distance
    }
    const most = least === 0 ? 0 : next
    const near: number[] = []
    for (let group = 0; group < distances.length; group++) if (distances[group]! <= most) near.push(group)
    return Int16Array.from(near)
  }
}
