// Which worker a request goes to, as balancers decide it. All know which workers are down, and ask another one where a
// queue is full. Owns the order in which workers are asked.

import { createHash } from 'node:crypto'

/** Points of a worker on the ring, as nginx has them for a weight of 1. */
const POINTS = 160

/** By name: a function from workers to a policy, which yields workers in the order in which they are asked. */
export const POLICIES = {
  'round robin': (workers) => new RoundRobin(workers),
  'least loaded': (workers) => new LeastLoaded(workers),
  affinity: (workers) => new Affinity(workers),
  // a worker may have so many times the average load (Mirrokni, Thorup and Zadimoghaddam 2016)
  'affinity, at most 1.25': (workers) => new Affinity(workers, { bound: 1.25 }),
  'affinity, at most 2': (workers) => new Affinity(workers, { bound: 2 }),
  'by application, at most 2': (workers) => new Affinity(workers, { bound: 2, key: 'application' }),
}

class RoundRobin {
  #workers
  #next = 0

  constructor(workers) {
    this.#workers = workers
  }

  changed() {}

  *candidates() {
    for (let i = 0; i < this.#workers.length; i++) {
      const index = this.#next
      this.#next = (this.#next + 1) % this.#workers.length
      if (this.#workers[index].isUp) yield index
    }
  }
}

/** Workers in lists by their load; of those that have the least, the one that has waited longest. */
class LeastLoaded {
  #workers
  #lists = []
  #loads
  #least = 0

  constructor(workers) {
    this.#workers = workers
    this.#loads = workers.map(() => -1)
    for (const index of workers.keys()) this.changed(index)
  }

  /** Call when a worker has more or fewer requests, has failed or is there again. */
  changed(index) {
    const { isUp, inside } = this.#workers[index]
    const load = isUp ? inside : -1
    if (load === this.#loads[index]) return
    if (this.#loads[index] >= 0) this.#lists[this.#loads[index]].delete(index)
    this.#loads[index] = load
    if (load < 0) return
    while (this.#lists.length <= load) this.#lists.push(new Set())
    this.#lists[load].add(index)
    this.#least = Math.min(this.#least, load)
  }

  *candidates() {
    while (this.#least < this.#lists.length && this.#lists[this.#least].size === 0) this.#least++
    for (let load = this.#least; load < this.#lists.length; load++) yield* this.#lists[load]
  }
}

/** A consistent hash: a failure moves what has the keys of one worker alone, each to the next on the ring. */
class Affinity {
  #workers
  #bound
  #points
  #owners
  #key
  #inside = 0
  #up = 0
  #loads

  constructor(workers, { bound = Infinity, key = 'conversation' } = {}) {
    this.#workers = workers
    this.#bound = bound
    this.#key = key
    const ring = []
    for (const index of workers.keys()) for (let i = 0; i < POINTS; i++) ring.push([hash(`worker ${index} ${i}`), index])
    ring.sort((a, b) => a[0] - b[0] || a[1] - b[1])
    this.#points = Float64Array.from(ring, ([point]) => point)
    this.#owners = Uint32Array.from(ring, ([, index]) => index)
    this.#loads = workers.map(() => 0)
    this.#up = workers.length
  }

  changed(index, isUp = this.#workers[index].isUp, wasUp = isUp) {
    const { inside } = this.#workers[index]
    this.#inside += inside - this.#loads[index]
    this.#loads[index] = inside
    this.#up += Number(isUp) - Number(wasUp)
  }

  *candidates({ session }) {
    const most = this.#bound === Infinity ? Infinity : Math.ceil((this.#bound * (this.#inside + 1)) / Math.max(1, this.#up))
    const asked = new Set()
    session.place ??= this.#placeOf(hash(session[this.#key]))
    for (let i = 0; i < this.#owners.length; i++) {
      const index = this.#owners[(session.place + i) % this.#owners.length]
      if (asked.has(index)) continue
      asked.add(index)
      const { isUp, inside } = this.#workers[index]
      if (isUp && inside < most) yield index
    }
  }

  #placeOf(point) {
    let [low, high] = [0, this.#points.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#points[middle] < point) low = middle + 1
      else high = middle
    }
    return low % this.#points.length
  }
}

/** 48 bits. */
function hash(text) {
  return createHash('md5').update(text).digest().readUIntBE(0, 6)
}
