// A process that uses one input once, and tells what that took: `measure.mjs KIND FILE`. Times are those of the
// processor, which a loaded machine changes little. The longest time between two turns of the event loop, of the thread
// that runs it, is what a signal would have waited for.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as turn } from 'node:timers/promises'
import { kinds } from './kinds.mjs'
import { faultOf, processorSeconds, threadSeconds } from './watch.mjs'

const [name, file] = process.argv.slice(2)
const kind = kinds.get(name)
const folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'hostile-'))
const input = new Uint8Array(fs.readFileSync(file))

// What is compiled and made at first is not the input's.
await kind
  .use(kind.make ? Uint8Array.from(await kind.make(new (await import('./random.mjs')).Random(1), folder)) : input, folder)
  .catch(() => {})
globalThis.gc?.()
const before = process.memoryUsage.rss()

let done = false
let blocked = 0
const watching = (async () => {
  for (let last = threadSeconds(); !done; ) {
    await turn(1)
    const now = threadSeconds()
    blocked = Math.max(blocked, now - last)
    last = now
  }
})()
const began = processorSeconds()
let fault
try {
  await kind.use(input, folder)
} catch (error) {
  fault = faultOf(error)
}
const seconds = processorSeconds() - began
done = true
await watching
await kind.close?.()
fs.rmSync(folder, { recursive: true, force: true })
const memory = Math.max(0, process.resourceUsage().maxRSS * 1024 - before)
process.send({ seconds, memory, blocked, fault }, () => process.exit())
