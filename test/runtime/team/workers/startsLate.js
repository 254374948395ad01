// A worker that takes its time to start, as on a machine with other work, and tells when it leaves.

import { workerData } from 'piscina'
import { takeSeat } from '../../../../dist/runtime/team/seat.js'

const { words } = workerData
Atomics.store(words, 0, 1)
Atomics.wait(words, 1, 0, 4000)

export default function seat(task) {
  const error = takeSeat(task, () => {})
  Atomics.store(words, 0, 2)
  return error
}
