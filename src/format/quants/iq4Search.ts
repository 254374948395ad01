// The search for the scale of 32 weights of IQ4_NL and IQ4_XS, whose quants are places in a table. The method is that
// of ggml: scales around the one that makes the largest weight the table's first value are tried, each is corrected by
// least squares, and the one that explains most is kept. Owns the table.

import { lazily } from './grids.js'
import { largestOf } from './scaleSearch.js'

const { fround } = Math

/** The values of the sixteen nibbles of IQ4_NL and IQ4_XS: ggml's kvalues_iq4nl, denser near zero, as weights are. */
export const iq4Values = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)

/** The scale of x. @param weights how much each value counts; default: with its square */
export function findIQ4Scale(x: Float32Array, weights?: Float32Array): number {
  const largest = largestOf(x)
  if (!(Math.abs(largest) > 1e-30)) return 0
  const shares = x.map((value) => value / largest)
  const counts = weights ?? shares.map((share) => share * share)
  let [scale, explained] = [0, 0]
  // the largest weight at the table's longer end or, where it may count for little, at the other
  const ends = weights ? 2 : 1
  for (let candidate = 0; candidate < 15 * ends; candidate++) {
    const step = (candidate % 15) - 7
    const multiplier = candidate < 15 ? iq4Values[0]! + step : iq4Values[15]! + step
    let [products, squares] = [0, 0]
    for (let i = 0; i < 32; i++) {
      const value = iq4Values[iq4Place(fround(multiplier * shares[i]!))]!
      const weighted = fround(counts[i]! * value)
      products = fround(products + fround(weighted * shares[i]!))
      squares = fround(squares + fround(weighted * value))
    }
    const gain = fround(fround(products / squares) * products)
    if (gain > explained) [scale, explained] = [fround(products / squares), gain]
  }
  return fround(scale * largest)
}

/** The places of all halves from -128 to 128. The borders between two values are halves, and belong to the lower. */
const places = Uint8Array.from({ length: 513 }, (_, i) => {
  const border = iq4Values.findIndex((value, place) => place < 15 && (i - 256) / 2 <= (value + iq4Values[place + 1]!) / 2)
  return border < 0 ? 15 : border
})

/**
 * What assembly/encode/iq4Search.ts looks up: for the halves from -128 to 127.5 the value nearest to each, as float32,
 * and then its place, a byte.
 */
export const tableIQ4 = lazily(() => {
  const table = new Uint8Array(512 * 5)
  table.set(new Uint8Array(Float32Array.from(places.subarray(0, 512), (place) => iq4Values[place]!).buffer))
  table.set(places.subarray(0, 512), 512 * 4)
  return table
})

/** The place of the table's value nearest to x. */
export function iq4Place(x: number): number {
  return places[Math.max(0, Math.min(512, Math.ceil(2 * x) + 256))]!
}
