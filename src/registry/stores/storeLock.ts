// A lock that one process holds and others wait for, so that two pulls of one file do not write into it both. Who wants it puts down an empty file
// FILE~lock.PID.BEGAN.HOST.NONCE and has the lock if no other live process has one there; else it takes its own away and tries later. The name says
// all, so that there is no moment in which a lock has no holder, nothing half-written that a kill could leave, and nobody removes a live one but its owner.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { processState } from '../../base/files/processState.js'

interface Holder {
  readonly pid: number
  /** When the process began, as its system tells it: another process may have its number later. Empty where the system does not say. */
  readonly began: string
  /** Eight digits for the machine, and for the container if process numbers are its own. */
  readonly host: string
  /** Tells two locks of one process apart. */
  readonly nonce: string
}

const POLL_MS = 100
/** A lock from another machine, over a shared disk, holds while its file is touched, and so does one whose process cannot be looked for. */
const TOUCH_MS = 10_000
const UNTOUCHED_MS = 120_000

/**
 * Waits for the lock of a file, calls `work` and gives the lock back. `onWait` is called once if another process has it, with its number.
 * Throws what `work` throws, `ABORTED` if the signal fires while waiting, `IO` if the folder cannot be written to.
 */
export async function withLock<T>(
  file: string,
  { signal, onWait }: { signal?: AbortSignal | undefined; onWait?: ((pid: number) => void) | undefined },
  work: () => Promise<T>,
): Promise<T> {
  const lock = await acquire(file, signal, onWait)
  const touch = setInterval(() => void fs.utimes(lock, new Date(), new Date()).catch(() => {}), TOUCH_MS)
  touch.unref()
  try {
    return await work()
  } finally {
    clearInterval(touch)
    await fs.rm(lock, { force: true })
  }
}

/** The process that is pulling something into a folder, if any is. */
export async function livePull(folder: string): Promise<number | undefined> {
  const entries = await fs.readdir(folder, { recursive: true }).catch(() => [] as string[])
  for (const entry of entries) {
    const holder = holderOf(path.basename(entry))
    if (holder && (await isLive(holder, path.join(folder, entry)))) return holder.pid
  }
  return undefined
}

/** Whether there is a lock of a file, of a live process or of one that was killed. */
export async function hasLock(file: string): Promise<boolean> {
  return (await locksOf(file)).length > 0
}

async function acquire(file: string, signal: AbortSignal | undefined, onWait: ((pid: number) => void) | undefined): Promise<string> {
  const self: Holder = { ...(await thisProcess()), nonce: crypto.randomUUID().slice(0, 8) }
  const mine = `${file}~lock.${self.pid}.${self.began}.${self.host}.${self.nonce}`
  let waiting = false
  for (;;) {
    let other = await otherHolder(file, self)
    if (!other) {
      await fs.mkdir(path.dirname(file), { recursive: true }).catch(failure('write', path.dirname(file)))
      await fs.writeFile(mine, '', { flag: 'wx' }).catch(failure('write', mine))
      // Of two who did so at once, the later one sees the earlier one's, at least.
      other = await otherHolder(file, self)
      if (!other) return mine
      await fs.rm(mine, { force: true })
    } else if (!waiting) {
      waiting = true
      onWait?.(other.pid)
    }
    // Unequal waits, so that two who gave way to each other do not meet again.
    await sleep(POLL_MS * (0.5 + Math.random()), undefined, signal ? { signal } : {}).catch(() => {
      throw abortedError(signal)
    })
  }
}

/** A live process that has, or wants, the lock of a file. Locks of dead ones are cleared away. */
async function otherHolder(file: string, self: Holder): Promise<Holder | undefined> {
  for (const { lock, holder } of await locksOf(file)) {
    if (holder.nonce === self.nonce && holder.pid === self.pid) continue
    if (await isLive(holder, lock)) return holder
    await fs.rm(lock, { force: true })
  }
  return undefined
}

async function locksOf(file: string): Promise<{ readonly lock: string; readonly holder: Holder }[]> {
  const folder = path.dirname(file)
  const names = await fs.readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return []
    throw ioError('read', folder, cause)
  })
  return names.flatMap((name) => {
    const holder = name.startsWith(`${path.basename(file)}~lock.`) && holderOf(name)
    return holder ? [{ lock: path.join(folder, name), holder }] : []
  })
}

function holderOf(name: string): Holder | undefined {
  const [, pid, began, host, nonce] = /~lock\.([1-9]\d{0,9})\.(\d{0,20})\.([0-9a-f]{8})\.([0-9a-f]{8})$/.exec(name) ?? []
  return pid === undefined ? undefined : { pid: Number(pid), began: began!, host: host!, nonce: nonce! }
}

async function isLive({ pid, began, host }: Holder, lock: string): Promise<boolean> {
  if (host !== (await thisProcess()).host) return isTouched(lock)
  const found = await beganOf(pid)
  if (found !== '') return began === '' || began === found
  const state = processState(pid)
  if (state !== 'unknown') return state === 'lives'
  return (await beganOf(process.pid)) === '' && isTouched(lock) // /proc has told, or the file does
}

async function isTouched(lock: string): Promise<boolean> {
  const stats = await fs.stat(lock).catch(() => undefined)
  return stats !== undefined && Date.now() - stats.mtimeMs < UNTOUCHED_MS
}

async function thisProcess(): Promise<Omit<Holder, 'nonce'>> {
  const space = await fs.readlink('/proc/self/ns/pid').catch(() => '')
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${os.hostname()} ${space}`))
  return { pid: process.pid, began: await beganOf(process.pid), host: Buffer.from(digest).toString('hex', 0, 4) }
}

/** When a process began, in clock ticks since the machine started; empty where the system does not say. */
async function beganOf(pid: number): Promise<string> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

function failure(doing: string, file: string): (cause: unknown) => never {
  return (cause) => {
    throw ioError(doing, file, cause)
  }
}
