// Two ways to keep optimizers from undoing what a kernel is written for: its constants in registers, and its order.

/**
 * A splat constant that V8 keeps in a register. V8 makes a literal constant again at every use (3 instructions).
 * `positive >> 31` is 0, but the engine cannot know.
 */
// @ts-ignore: decorator
@inline export function held(bits: i32, positive: i32): v128 {
  return i32x4.splat(bits | (positive >> 31))
}

/**
 * Keeps the code before it before the code after it. Otherwise the optimizer computes each value where it is needed,
 * strip after strip, and a core finds too little to do at the same time. The engine drops the branch, which is never
 * taken.
 *
 * Not for use after sums made outside of a loop, where groups stand side by side: some of these sums still move over
 * the branch, and V8 makes one operation of two only within a basic block.
 */
// @ts-ignore: decorator
@inline export function inOrder(positive: i32): void {
  if (positive < 0) unreachable()
}
