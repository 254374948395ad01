// Preloaded into a command: counts how often its main thread reads the text of each file and opens each file, and writes
// the counts to the path in COUNT_FILE_USE when the process ends. Not a test.

import { promises, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const counts = {}
  for (const name of ['readFile', 'open']) {
    const original = promises[name]
    promises[name] = (file, ...rest) => {
      const use = `${name} ${file}`
      counts[use] = (counts[use] ?? 0) + 1
      return original.call(promises, file, ...rest)
    }
  }
  process.on('exit', () => writeFileSync(process.env.COUNT_FILE_USE, JSON.stringify(counts)))
}
