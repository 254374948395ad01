// The order of merges within one segment: a binary heap of (rank, position), packed into one float64 each. The lowest
// rank comes first, the left-most among equals. An entry becomes stale when a neighbor merges; the caller checks for
// that.

const POSITIONS = 2 ** 32 // rank < 2^20 and position < 2^32 fit into 53 bits

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
      if (heap[parent]! <= entry) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  /** Removes and returns the first merge. The queue must not be empty. */
  pop(): { rank: number; position: number } {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap[--this.#size]!
    const size = this.#size
    let at = 0
    for (let child = 1; child < size; child = at * 2 + 1) {
      if (child + 1 < size && heap[child + 1]! < heap[child]!) child++
      if (heap[child]! >= last) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    const rank = Math.floor(first / POSITIONS)
    return { rank, position: first - rank * POSITIONS }
  }
}
