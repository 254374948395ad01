// What starting costs: importing the library beside importing nothing, and the demo model's first token, each in fresh
// processes that take turns. Under every runtime that is measured. And the size of the WebAssembly that is shipped.

import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { median } from './report.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const repetitions = 11
const scripts = { empty: here('./startUp/empty.mjs'), library: here('./startUp/library.mjs'), firstToken: here('./startUp/firstToken.mjs') }

/**
 * Milliseconds, medians: a process that imports nothing, what importing the library adds, and from the start of a
 * process to the demo model's first token.
 */
export function measureStartUp(command) {
  const [program, ...args] = command
  const times = { empty: [], library: [], firstToken: [] }
  for (let i = 0; i <= repetitions; i++) {
    for (const [name, script] of Object.entries(scripts)) {
      const started = performance.now()
      const { status, stderr, error } = spawnSync(program, [...args, script], { encoding: 'utf8' })
      if (status !== 0) throw new Error(`${command.join(' ')} ${script}: ${error?.message ?? stderr}`)
      if (i > 0) times[name].push(performance.now() - started) // the first fills caches
    }
  }
  const empty = median(times.empty)
  return { empty, importing: median(times.library) - empty, firstToken: median(times.firstToken) }
}

/** Bytes of all kernels. */
export function wasmBytes() {
  const folder = here('../../dist/runtime/kernels/')
  const files = readdirSync(folder).filter((name) => name.endsWith('.wasm'))
  return files.reduce((sum, name) => sum + statSync(folder + name).size, 0)
}
