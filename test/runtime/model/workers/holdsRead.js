// The real worker, with two additions for a test, which shares the words of the environment data `holdsRead` with it.
// When the test orders it, the next read from a file is held until the test lets it go on or fail. And tasks that have
// ended are counted: a task ends when its thread leaves.

import fs from 'node:fs'
import { getEnvironmentData } from 'node:worker_threads'
import runTask from '../../../../dist/runtime/engine/worker.js'

const { words, word, state } = getEnvironmentData('holdsRead')
const { readSync } = fs

fs.readSync = (...operands) => {
  if (Atomics.compareExchange(words, word.state, state.ordered, state.held) === state.ordered) {
    Atomics.wait(words, word.state, state.held)
    if (Atomics.load(words, word.state) === state.fail) throw new Error('a disk that gives up')
  }
  return readSync(...operands)
}

export default function seat(task) {
  try {
    return runTask(task)
  } finally {
    Atomics.add(words, word.ended, 1)
  }
}
