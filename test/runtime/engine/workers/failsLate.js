// The real worker, but while the file that the test named is there reads take 30 ms, and one of them, a second, and then fails.

import fs from 'node:fs'
import { getEnvironmentData } from 'node:worker_threads'

const { readSync } = fs
const clock = new Int32Array(new SharedArrayBuffer(4))
const wait = (milliseconds) => Atomics.wait(clock, 0, 0, milliseconds)
fs.readSync = (...operands) => {
  const order = getEnvironmentData('late')
  if (fs.existsSync(order)) wait(30)
  if (fails(`${order}.fail`)) {
    wait(1000)
    throw new Error('a disk that gives up')
  }
  return readSync(...operands)
}

/** For one of the readers. */
function fails(order) {
  try {
    fs.unlinkSync(order)
    return true
  } catch {
    return false
  }
}

export { default } from '../../../../dist/runtime/engine/worker.js'
