// What is to happen, in the order of time: a binary heap. Of two things at one time, the one that was entered first
// comes first, so that a run is the same each time.

export class Agenda {
  #times = []
  #orders = []
  #things = []
  #entered = 0

  get size() {
    return this.#times.length
  }

  /** The time of the next thing; infinite where there is none. */
  get next() {
    return this.#times.length > 0 ? this.#times[0] : Infinity
  }

  add(time, thing) {
    let at = this.#times.length
    const order = this.#entered++
    this.#times.push(time)
    this.#orders.push(order)
    this.#things.push(thing)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#times[parent] < time || (this.#times[parent] === time && this.#orders[parent] < order)) break
      this.#move(parent, at)
      at = parent
    }
    this.#put(at, time, order, thing)
  }

  /** The next thing, which is taken out. */
  take() {
    const first = this.#things[0]
    const [time, order, thing] = [this.#times.pop(), this.#orders.pop(), this.#things.pop()]
    const { length } = this.#times
    if (length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      if (child + 1 < length && this.#isBefore(child + 1, child)) child++
      if (this.#times[child] > time || (this.#times[child] === time && this.#orders[child] > order)) break
      this.#move(child, at)
      at = child
    }
    this.#put(at, time, order, thing)
    return first
  }

  #isBefore(one, other) {
    return this.#times[one] < this.#times[other] || (this.#times[one] === this.#times[other] && this.#orders[one] < this.#orders[other])
  }

  #move(from, to) {
    this.#times[to] = this.#times[from]
    this.#orders[to] = this.#orders[from]
    this.#things[to] = this.#things[from]
  }

  #put(at, time, order, thing) {
    this.#times[at] = time
    this.#orders[at] = order
    this.#things[at] = thing
  }
}
