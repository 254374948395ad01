// Sets of whole numbers (bytes or code points) as ranges. Owns their algebra; knows nothing of what the numbers mean.

/** `[from, to, from, to, ...]`, both ends included, ascending, with a gap between one range and the next. */
export type Ranges = readonly number[]

export const MAX_CODE_POINT = 0x10ffff
/** All code points that UTF-8 can spell: surrogates are left out. */
export const ANY_CODE_POINT: Ranges = [0, 0xd7ff, 0xe000, MAX_CODE_POINT]

/** The set of the given ranges, in any order, overlapping or not. */
export function rangesOf(pairs: readonly (readonly [from: number, to: number])[]): Ranges {
  const sorted = [...pairs].sort((a, b) => a[0] - b[0])
  const result: number[] = []
  for (const [from, to] of sorted) {
    const last = result.length - 1
    if (last > 0 && from <= result[last]! + 1) result[last] = Math.max(result[last]!, to)
    else result.push(from, to)
  }
  return result
}

export function pairsOf(ranges: Ranges): [from: number, to: number][] {
  return Array.from({ length: ranges.length / 2 }, (_, i) => [ranges[2 * i]!, ranges[2 * i + 1]!])
}

export function intersection(a: Ranges, b: Ranges): Ranges {
  const result: number[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const from = Math.max(a[i]!, b[j]!)
    const to = Math.min(a[i + 1]!, b[j + 1]!)
    if (from <= to) result.push(from, to)
    if (a[i + 1]! < b[j + 1]!) i += 2
    else j += 2
  }
  return result
}

/** What is in `all` and not in `ranges`. */
export function without(all: Ranges, ranges: Ranges): Ranges {
  const gaps: [number, number][] = []
  let from = 0
  for (const [start, end] of pairsOf(ranges)) {
    if (start > from) gaps.push([from, start - 1])
    from = end + 1
  }
  gaps.push([from, Number.MAX_SAFE_INTEGER])
  return intersection(all, rangesOf(gaps))
}

/** Binary search. */
export function contains(ranges: Ranges, value: number): boolean {
  let low = 0
  let high = ranges.length / 2
  while (low < high) {
    const middle = (low + high) >> 1
    if (value < ranges[2 * middle]!) high = middle
    else if (value > ranges[2 * middle + 1]!) low = middle + 1
    else return true
  }
  return false
}

/**
 * Cuts the numbers of several sets into classes: two numbers are in one class when they are in the same sets. Each
 * class is its ranges and the indices of its sets; numbers in no set are in no class. Every set is looked at for each
 * range: `onCost` is told the product before the work, and may throw.
 */
export function classesOf(sets: readonly Ranges[], onCost?: (looks: number) => void): { ranges: Ranges; members: number[] }[] {
  const starts = new Set<number>()
  for (const ranges of sets) for (let i = 0; i < ranges.length; i += 2) starts.add(ranges[i]!).add(ranges[i + 1]! + 1)
  const cuts = [...starts].sort((a, b) => a - b)
  onCost?.(cuts.length * sets.length)
  const classes = new Map<string, { pairs: [number, number][]; members: number[] }>()
  for (let i = 0; i + 1 < cuts.length; i++) {
    const from = cuts[i]!
    const members: number[] = []
    for (let set = 0; set < sets.length; set++) if (contains(sets[set]!, from)) members.push(set)
    if (members.length === 0) continue
    const key = members.join()
    const found = classes.get(key)
    if (found) found.pairs.push([from, cuts[i + 1]! - 1])
    else classes.set(key, { pairs: [[from, cuts[i + 1]! - 1]], members })
  }
  return Array.from(classes.values(), ({ pairs, members }) => ({ ranges: rangesOf(pairs), members }))
}
