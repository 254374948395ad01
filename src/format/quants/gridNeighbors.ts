// Which groups of a grid come into question for magnitudes that were rounded one by one: the group itself if the grid
// has it, else those nearest to it. Owns the lists, made when first needed; knows neither signs nor blocks. The idea is
// that of ggml (iq2xs_init_impl, iq3xs_init_impl).

import type { Grid } from './grids.js'

/** How many distances, from the least up, are near. */
const NEAR = 2

/** A grid, and what is near what. */
export class GridNeighbors {
  readonly size: number
  /** The magnitude of each level, in parts of the least: about 1, 3, 5 and so on. */
  readonly magnitudes: Float64Array
  /** The levels of all groups: (groups, size). */
  readonly levels: Uint8Array
  /** The value of the least magnitude. */
  readonly least: number
  readonly #lists: (Int16Array | undefined)[]

  constructor({ size, values }: Grid) {
    const known = [...new Set(values)].toSorted((a, b) => a - b)
    this.size = size
    this.least = known[0]!
    this.magnitudes = Float64Array.from(known, (value) => value / this.least)
    this.levels = Uint8Array.from(values, (value) => known.indexOf(value))
    this.#lists = new Array(known.length ** size)
  }

  /** The groups near that of a key: levels as digits, the first magnitude's last. */
  near(key: number): Int16Array {
    const known = this.#lists[key]
    if (known) return known
    const made = this.#make(key)
    this.#lists[key] = made
    return made
  }

  #make(key: number): Int16Array {
    const { size, magnitudes, levels } = this
    const groups = levels.length / size
    const distances = new Int32Array(groups)
    for (let group = 0; group < groups; group++) {
      let rest = key
      for (let k = 0; k < size; k++) {
        distances[group] = distances[group]! + (levels[group * size + k]! - (rest % magnitudes.length)) ** 2
        rest = Math.floor(rest / magnitudes.length)
      }
    }
    const [least, ...others] = [...new Set(distances)].toSorted((a, b) => a - b)
    const most = least === 0 ? 0 : others[NEAR - 2]!
    return Int16Array.from([...distances.keys()].filter((group) => distances[group]! <= most))
  }
}
