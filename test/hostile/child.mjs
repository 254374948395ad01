// A child process with a watchdog: one that no longer reports, while it uses the processor or while it does not, is
// killed and told of. Owns no meaning of reports.

import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Seconds of the processor between two reports, and of silence in all, after which a process hangs. */
const BUSY = 40
const SILENT = 240
const LOOK_MS = 1000

/**
 * Runs a module until it ends. `onReport` gets its messages. Resolves to how it ended: an exit code, a signal, and
 * whether it was killed because it hung.
 */
export function runChild(module, args, { onReport = () => {}, env = {}, execArgv = [], busy = BUSY, silent = SILENT } = {}) {
  return new Promise((resolve) => {
    const child = fork(new URL(module, import.meta.url), args, {
      env: { ...process.env, ...env },
      execArgv: ['--expose-gc', '--max-old-space-size=2048', ...execArgv],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let hung
    let errors = ''
    let [reportedAt, usedAt] = [performance.now(), 0]
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors = (errors + text).slice(-4000)
    })
    child.on('message', (message) => {
      reportedAt = performance.now()
      usedAt = secondsOf(child.pid)
      onReport(message)
    })
    const timer = setInterval(() => {
      if (secondsOf(child.pid) - usedAt > busy) hung = `no end after ${busy} s of the processor`
      else if (performance.now() - reportedAt > silent * 1000) hung = `no report for ${silent} s`
      if (hung) child.kill('SIGKILL')
    }, LOOK_MS)
    // Reports may come after the process has ended: they are all there when its channel is closed.
    const disconnected = new Promise((done) => child.on('disconnect', done))
    child.on('close', async (code, signal) => {
      clearInterval(timer)
      if (child.connected) await disconnected
      resolve({ code, signal, hung, errors })
    })
  })
}

/** Seconds of the processor that a process has used. 0 where the system does not tell. */
function secondsOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}
