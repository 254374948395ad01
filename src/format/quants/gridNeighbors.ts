// Which groups of a grid come into question for magnitudes that were rounded one by one: the group itself if the grid
// has it, else those nearest to it. Owns the lists, made when first needed, and the table in which kernels look them
// up; knows neither signs nor blocks. The idea is that of ggml (iq2xs_init_impl, iq3xs_init_impl).

import type { Grid } from './grids.js'

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

  /**
   * All that assembly/encode/gridSearch.ts looks up, little-endian: for each key a word, the place of its list in
   * units of two bytes from bit 12 up, and below it the number of groups; to the next multiple of 16; the values of
   * all groups, float32; the lists, each group by the place of its values.
   */
  table(): Uint8Array<ArrayBuffer> {
    const keys = this.#lists.length
    const valuesAt = Math.ceil(keys / 4) * 16
    const listsAt = valuesAt + this.levels.length * 4
    const words = new Uint32Array(listsAt / 4)
    const places: number[] = []
    for (let key = 0; key < keys; key++) {
      const near = this.near(key)
      words[key] = ((listsAt / 2 + places.length) << 12) | near.length
      for (const group of near) places.push(group * this.size * 4)
    }
    const table = new Uint8Array(listsAt + places.length * 2)
    table.set(new Uint8Array(words.buffer))
    table.set(new Uint8Array(Float32Array.from(this.levels, (level) => this.magnitudes[level]!).buffer), valuesAt)
    table.set(new Uint8Array(Uint16Array.from(places).buffer), listsAt)
    return table
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
