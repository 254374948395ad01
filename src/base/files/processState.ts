// Which process this is among those of all machines, and whether one of this machine is alive, as far as the system and
// a signal without effect can tell. Asked before files that another process left are removed.

import fs from 'node:fs/promises'
import os from 'node:os'

/** A process, apart from all others. */
export interface ProcessMark {
  readonly pid: number
  /**
   * Start time of the process, in the system's own units, since numbers are reused. Empty where the system does not
   * tell.
   */
  readonly began: string
  /** Eight hex digits for the machine, and for the container if it has its own process numbers. */
  readonly host: string
}

/** The state of a process; `unknown` where a signal is not allowed, as on Deno without the permission. */
export function processState(pid: number): 'lives' | 'gone' | 'unknown' {
  try {
    process.kill(pid, 0)
    return 'lives'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EPERM') return 'lives' // as another user's process
    return code === 'ESRCH' ? 'gone' : 'unknown'
  }
}

export async function thisProcess(): Promise<ProcessMark> {
  const space = await fs.readlink('/proc/self/ns/pid').catch(() => '')
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${os.hostname()} ${space}`))
  return { pid: process.pid, began: await beganOf(process.pid), host: Buffer.from(digest).toString('hex', 0, 4) }
}

/** Start time of a process, in clock ticks since the machine started; empty where the system does not tell. */
export async function beganOf(pid: number): Promise<string> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

/** Files that were touched in the future: when that was, and since when this process knows it, by its own clock. */
const ahead = new Map<string, { readonly touched: number; readonly since: number }>()

/**
 * Whether a live process, of any machine, keeps touching its file. A time in the future is that of a clock that is
 * ahead, or made up: such a file is as old as it has been seen to stay the same.
 */
export async function isTouched(file: string, mostMs: number): Promise<boolean> {
  const touched = (await fs.stat(file).catch(() => undefined))?.mtimeMs
  const age = touched === undefined ? Number.POSITIVE_INFINITY : Date.now() - touched
  if (touched === undefined || age >= 0) {
    ahead.delete(file)
    return age < mostMs
  }
  const known = ahead.get(file)
  if (known?.touched === touched) return performance.now() - known.since < mostMs
  ahead.set(file, { touched, since: performance.now() })
  return true
}
