// The order of merges within one segment: a binary heap of (rank, position) packed into one float64, lowest rank first and left-most
// among equals. Entries go stale when a neighbour merges; whoever takes them out has to check.

const POSITIONS = 2 ** 32 // rank < 2^20 and position < 2^32 fit into the 53 bits

export class MergeQueue {
  readonly #heap: Float64Array
  #size = 0

  constructor(capacity: number) {
    this.#heap = new Float64Array(capacity)
  }

  get isEmpty(): boolean {
    return this.#size === 0
  }

  push(rank: number, position: number): void {
    const heap = this.#heap
    const entry = rank * POSITIONS + position
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if ((heap[parent] as number) <= entry) break
      heap[at] = heap[parent] as number
      at = parent
    }
    heap[at] = entry
  }

  /** Takes out the first merge. The queue must not be empty. */
  pop(): { rank: number; position: number } {
    const heap = this.#heap
    const first = heap[0] as number
    const last = heap[--this.#size] as number
    const size = this.#size
    let at = 0
    for (let child = 1; child < size; child = at * 2 + 1) {
      if (child + 1 < size && (heap[child + 1] as number) < (heap[child] as number)) child++
      if ((heap[child] as number) >= last) break
      heap[at] = heap[child] as number
      at = child
    }
    heap[at] = last
    const rank = Math.floor(first / POSITIONS)
    return { rank, position: first - rank * POSITIONS }
  }
}
