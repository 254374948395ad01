// Makes an input smaller while it keeps its fault, by leaving out ever smaller pieces (ddmin: Zeller and Hildebrandt,
// 2002). Knows no kind.

/**
 * The smallest input found in some seconds and tries.
 * @param {Uint8Array} input
 * @param {(input: Uint8Array) => Promise<boolean>} hasFault
 */
export async function shrink(input, hasFault, { seconds = 20, tries = 2000 } = {}) {
  const end = performance.now() + seconds * 1000
  let smallest = input
  let left = tries
  for (let piece = Math.ceil(input.length / 2); piece >= 1 && left > 0; ) {
    let found = false
    for (let at = 0; at < smallest.length && left > 0 && performance.now() < end; left--) {
      const candidate = new Uint8Array(Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + piece)]))
      if (await hasFault(candidate)) {
        smallest = candidate
        found = true
      } else at += piece
    }
    if (performance.now() >= end) break
    if (!found || piece > smallest.length) piece = piece === 1 ? 0 : Math.ceil(piece / 2)
  }
  return smallest
}
