// What keeps the optimizers from undoing the order and the registers that a kernel is written for.

/** A splat constant that V8 keeps in a register. It re-creates literal constants (3 instructions) at every use; `positive >> 31` is 0, but the engine cannot know. */
// @ts-ignore: decorator
@inline export function held(bits: i32, positive: i32): v128 {
  return i32x4.splat(bits | (positive >> 31))
}

/**
 * Keeps what stands before it before what stands after it. Left alone, the optimiser computes each value where it is needed, strip after strip, and a core finds
 * too little to do at the same time. The engine drops the branch, which is never taken.
 *
 * Not after sums that are made outside a loop, where groups stand side by side: some of them still move over the branch, and V8 makes one operation of two only within
 * a basic block.
 */
// @ts-ignore: decorator
@inline export function inOrder(positive: i32): void {
  if (positive < 0) unreachable()
}
