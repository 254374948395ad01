// `mixtral serve` in a process of its own, for benches: its address, its memory, its metrics, and its end.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../dist/interfaces/cli/main.js', import.meta.url))

/** Starts a server on a free port. `nodeFlags` are Node's. Throws if it does not start. */
export async function startServer(model, flags = [], nodeFlags = []) {
  const child = spawn(process.execPath, [...nodeFlags, main, 'serve', model, '--port', '0', '--no-log', ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  const ended = new Promise((resolve) => child.on('close', resolve))
  const url = await new Promise((resolve, reject) => {
    child.stderr.on('data', (text) => {
      said += text
      const [, found] = /at (http:\S+):/.exec(said) ?? []
      if (found) resolve(found)
    })
    ended.then((code) => reject(new Error(`the server has ended with ${code}: ${said}`)))
  })
  return {
    url,
    /** Whether it runs still. */
    get lives() {
      return child.exitCode === null && child.signalCode === null
    },
    /** Bytes of its memory that are resident; on Linux only. */
    residentBytes: () => 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]),
    /** A number of /metrics. */
    async metric(name) {
      const text = await (await fetch(`${url}/metrics`)).text()
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1])
    },
    /** Ends it as a supervisor does; its exit code, and what it said. */
    async end() {
      child.kill('SIGTERM')
      return { code: await ended, said }
    },
  }
}
