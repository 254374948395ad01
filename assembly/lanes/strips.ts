// Reading order of the one-token products. A core waits less for four streams of memory than for one, so the groups of
// a call are cut into four strips that are read side by side. If four does not divide the count, strips overlap, and
// the overlap is computed twice to the same bits.

/** Groups in a strip. */
// @ts-ignore: decorator
@inline export function stripOf(groups: i32): usize {
  return (<usize>groups + 3) >> 2
}

/** First group of strip k. */
// @ts-ignore: decorator
@inline export function stripStart(k: usize, strip: usize, groups: i32): usize {
  return min(k * strip, <usize>groups - strip)
}
