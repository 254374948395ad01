// Makes a thread break down in mid-work. The file that the environment data `breakdown` names is the order: it holds
// how many more operations on shared memory a thread does before it breaks. The thread that gets there first deletes
// the order, so that one thread breaks, once.

import fs from 'node:fs'
import { getEnvironmentData } from 'node:worker_threads'
import { word } from '../../../../dist/runtime/team/control.js'

const order = getEnvironmentData('breakdown')
/** Looking for the order takes longer than waiting for another thread should. */
const LOOK_EVERY = 10
let operations = 0
let last = Infinity

/** From now on, an order makes this thread call `breakDown` inside an operation on shared memory. */
export function obeyOrders(breakDown) {
  for (const name of ['add', 'load']) {
    const original = Atomics[name]
    Atomics[name] = (...operands) => {
      // a thread that only waits for the next command is not in mid-work
      if (operands[1] !== word.command && ++operations % LOOK_EVERY === 0 && isDue()) breakDown()
      return original(...operands)
    }
  }
}

function isDue() {
  if (!fs.existsSync(order)) {
    last = Infinity
    return false
  }
  try {
    if (last === Infinity) last = operations + Number(fs.readFileSync(order, 'utf8'))
    if (operations < last) return false
    fs.unlinkSync(order)
    return true
  } catch {
    return false // another thread was faster
  }
}
