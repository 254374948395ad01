// Simulates one token on any number of threads: every thread claims units, works, and meets the others at barriers, as
// src/runtime/team does. Threads share the memory's rate: where they want more together, all are slowed alike. Knows
// nothing of models: a stage is a list of units with the seconds and bytes of each.

/**
 * @typedef {object} Stage
 * @property {string} name
 * @property {readonly { seconds: number, bytes: number }[]} units in the order in which they are claimed
 */

/**
 * What threads cost each other, in seconds.
 * @typedef {object} Costs
 * @property {number} claim an atomic addition to a word that other threads add to: they come one after the other
 * @property {number} release from the last arrival until a thread that spins goes on
 * @property {number} spin how long a thread spins before it sleeps
 * @property {number} wake from the last arrival until a thread that sleeps goes on
 */

/** As the runtime does it now, and as it did before: every unit by an atomic, arrivals in one word. */
export const RULES = {
  now: { firstIsSeat: true, groupSeats: 8 },
  before: { firstIsSeat: false, groupSeats: Number.POSITIVE_INFINITY },
}

/**
 * Seconds of a token.
 * @param {readonly Stage[]} stages
 * @param {{ threads: number, bandwidth: number, costs: Costs, rules: typeof RULES.now, fixed: number }} machine fixed:
 * seconds of a token in which no thread works
 */
export function simulate(stages, { threads, bandwidth, costs, rules, fixed }) {
  let ready = new Float64Array(threads)
  for (const stage of stages) ready = barrier(work(stage, ready, threads, bandwidth, costs, rules), costs, rules)
  return Math.max(...ready) + fixed
}

/** The least that any way to share out the work could take: all threads busy all the time, or memory. */
export function ideal(stages, { threads, bandwidth, fixed }) {
  let seconds = 0
  for (const { units } of stages) {
    const sum = (field) => units.reduce((total, unit) => total + unit[field], 0)
    seconds += Math.max(sum('seconds') / threads, sum('bytes') / bandwidth)
  }
  return seconds + fixed
}

/** When each thread has no unit left. */
function work({ units }, ready, threads, bandwidth, costs, rules) {
  const done = Float64Array.from(ready)
  /** Units being worked on: what is left of them, 1 at the start. */
  const active = new Map()
  let next = rules.firstIsSeat ? Math.min(threads, units.length) : 0
  let lineFree = 0
  /** When a thread begins its next unit: after it has claimed it. */
  const begins = []
  const claim = (thread, at) => {
    if (next >= units.length && rules.firstIsSeat && units.length <= threads) return // it knows
    if (threads > 1) {
      lineFree = Math.max(lineFree, at) + costs.claim
      at = lineFree
    }
    done[thread] = at
    if (next < units.length) begins.push({ at, thread, unit: units[next++] })
  }
  const order = [...ready.keys()].sort((a, b) => ready[a] - ready[b])
  for (const thread of order) {
    if (!rules.firstIsSeat) claim(thread, ready[thread])
    else if (thread < units.length) begins.push({ at: ready[thread], thread, unit: units[thread] })
  }
  let now = Math.min(...ready)
  while (active.size || begins.length) {
    let demand = 0
    for (const { unit } of active.values()) demand += unit.bytes / unit.seconds
    const speed = Math.min(1, bandwidth / demand)
    let end = Number.POSITIVE_INFINITY
    for (const { left, unit } of active.values()) end = Math.min(end, now + (left * unit.seconds) / speed)
    begins.sort((a, b) => a.at - b.at)
    const until = Math.min(end, begins[0]?.at ?? Number.POSITIVE_INFINITY)
    for (const one of active.values()) one.left -= ((until - now) * speed) / one.unit.seconds
    now = Math.max(now, until)
    while (begins.length && begins[0].at <= now) {
      const { thread, unit } = begins.shift()
      active.set(thread, { left: 1, unit })
    }
    for (const [thread, { left, unit }] of active) {
      if (left * unit.seconds > 1e-13) continue // less is rounding
      active.delete(thread)
      done[thread] = now
      claim(thread, now)
    }
  }
  return done
}

/** When each thread goes on after all have arrived. */
function barrier(arrivals, costs, { groupSeats }) {
  const threads = arrivals.length
  if (threads === 1) return arrivals
  const groups = Math.max(1, Math.ceil(threads / groupSeats))
  const last = new Float64Array(groups)
  const order = [...arrivals.keys()].sort((a, b) => arrivals[a] - arrivals[b])
  for (const thread of order) {
    const group = groups === 1 ? 0 : Math.floor(thread / groupSeats)
    last[group] = Math.max(last[group], arrivals[thread]) + costs.claim
  }
  let all = 0
  for (const at of last.toSorted()) all = groups === 1 ? at : Math.max(all, at) + costs.claim
  return arrivals.map((at) => all + (all - at > costs.spin ? costs.wake : costs.release))
}
