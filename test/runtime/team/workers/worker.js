// The worker of the team's tests: commands that work, wait, and break down. workerData.words is shared with the test.

import { threadId } from 'node:worker_threads'
import { workerData } from 'piscina'
import { MixtralError } from '../../../../dist/base/errors.js'
import { takeSeat } from '../../../../dist/runtime/team/seat.js'
import { commands } from './commands.js'

const { words, layout } = workerData

const run = {
  /** Stage after stage, each unit counts itself; at the end of a stage, every thread checks that no unit is missing. */
  [commands.stages](crew) {
    for (let stage = 0; stage < layout.stages; stage++) {
      const first = layout.counts + stage * layout.units
      for (let unit = crew.claim(); unit < layout.units; unit = crew.claim()) Atomics.add(words, first + unit, 1)
      crew.barrier()
      for (let unit = 0; unit < layout.units; unit++) if (words[first + unit] === 0) Atomics.add(words, layout.missed, 1)
    }
  },
  [commands.forever](crew) {
    for (;;) crew.barrier()
  },
  /** Never meets the others again. */
  [commands.hang](crew) {
    if (crew.seat === crew.seats - 1) for (;;) Atomics.add(words, layout.beats, 1)
    crew.barrier()
  },
  [commands.throwError](crew) {
    if (crew.seat === crew.seats - 1) throw new TypeError('a bug in a worker')
    crew.barrier()
  },
  [commands.throwMixtralError](crew) {
    if (crew.seat === crew.seats - 1) throw new MixtralError('IO', 'a broken disk')
    crew.barrier()
  },
  [commands.exit](crew) {
    if (crew.seat === crew.seats - 1) process.exit(3)
    crew.barrier()
  },
  /** One thread throws while the others go on writing. */
  [commands.throwBesideWork](crew) {
    if (crew.seat === crew.seats - 1) throw new TypeError('a bug in a worker')
    for (;;) Atomics.add(words, layout.beats, 1)
  },
  /** Whether any thread still writes. */
  [commands.listen](crew) {
    const before = Atomics.load(words, layout.beats)
    Atomics.wait(words, layout.never, 0, 20)
    if (Atomics.load(words, layout.beats) !== before) Atomics.add(words, layout.missed, 1)
    crew.barrier()
  },
}

export default function seat(task) {
  Atomics.store(words, layout.threadIds + task.seat, threadId)
  return takeSeat(task, (code, crew) => run[code](crew))
}
