// The real worker, but each read from a file takes 20 ms, and adds a byte to the file that the test named.

import fs from 'node:fs'
import { getEnvironmentData } from 'node:worker_threads'

const { readSync } = fs
const clock = new Int32Array(new SharedArrayBuffer(4))
fs.readSync = (...operands) => {
  fs.appendFileSync(getEnvironmentData('reads'), '.')
  Atomics.wait(clock, 0, 0, 20)
  return readSync(...operands)
}

export { default } from '../../../../dist/runtime/engine/worker.js'
