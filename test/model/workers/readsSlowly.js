// The real worker, but each read from a file takes 20 ms, and adds a byte to the file named by MIXTRAL_TEST_READS.

import fs from 'node:fs'

const { readSync } = fs
const clock = new Int32Array(new SharedArrayBuffer(4))
fs.readSync = (...operands) => {
  fs.appendFileSync(process.env.MIXTRAL_TEST_READS, '.')
  Atomics.wait(clock, 0, 0, 20)
  return readSync(...operands)
}

export { default } from '../../../dist/model/worker.js'
