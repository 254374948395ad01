// A lock that one process holds and others wait for, so that two pulls of one file do not write into it both. A lock is a file FILE.lock.N with
// the holder in it; of several, the highest N counts. Who finds a lock of a dead process takes the next number, which only one can create, so a
// live lock is never removed by anybody but its holder.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MixtralError } from '../errors.js'
import { ioError } from '../gguf/byteSource.js'
import { readText } from './storeFiles.js'

interface Holder {
  readonly pid: number
  readonly host: string
  /** When the process began, as its system tells it: another process may have its number later. */
  readonly began: string
  /** Tells two locks of one process apart. */
  readonly nonce: string
}

const POLL_MS = 100
/** A lock from another machine, over a shared disk, holds while its file is touched. */
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
    const held = /^(.*)\.lock\.\d+$/s.exec(entry)
    const holder = held && (await liveHolder(path.join(folder, entry)))
    if (holder) return holder.pid
  }
  return undefined
}

async function acquire(file: string, signal: AbortSignal | undefined, onWait: ((pid: number) => void) | undefined): Promise<string> {
  const self: Holder = { pid: process.pid, host: os.hostname(), began: (await beganOf(process.pid)) ?? '', nonce: crypto.randomUUID() }
  let waiting = false
  for (;;) {
    const before = await numbers(file)
    const top = before.at(-1)
    const holder = top === undefined ? undefined : await liveHolder(lockOf(file, top))
    if (!holder) {
      const mine = (top ?? 0) + 1
      if (await create(lockOf(file, mine), self)) {
        // Between the look and the creation another process may have taken a number, and even have given it back.
        const lower = top === undefined ? undefined : await liveHolder(lockOf(file, top))
        if (!lower && (await numbers(file)).at(-1) === mine) {
          for (const number of before) await fs.rm(lockOf(file, number), { force: true })
          return lockOf(file, mine)
        }
        await fs.rm(lockOf(file, mine), { force: true })
      }
    } else if (!waiting) {
      waiting = true
      onWait?.(holder.pid)
    }
    // Unequal waits, so that two who gave way to each other do not meet again.
    await sleep(POLL_MS * (0.5 + Math.random()), undefined, signal ? { signal } : {}).catch((cause: unknown) => {
      throw new MixtralError('ABORTED', 'aborted', { cause })
    })
  }
}

const lockOf = (file: string, number: number) => `${file}.lock.${number}`

/** The numbers of a file's locks, ascending. */
async function numbers(file: string): Promise<number[]> {
  try {
    await fs.mkdir(path.dirname(file), { recursive: true })
    const prefix = `${path.basename(file)}.lock.`
    const names = (await fs.readdir(path.dirname(file))).filter((name) => name.startsWith(prefix))
    return names
      .map((name) => Number(name.slice(prefix.length)))
      .filter(Number.isSafeInteger)
      .sort((a, b) => a - b)
  } catch (cause) {
    throw ioError('read', path.dirname(file), cause)
  }
}

/** Creates a lock file with its holder in it, in one step; false if there is one. */
async function create(lock: string, self: Holder): Promise<boolean> {
  const draft = `${lock}.${self.nonce}`
  try {
    await fs.writeFile(draft, JSON.stringify(self))
    await fs.link(draft, lock)
    return true
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
    return await createWithoutLink(lock, self)
  } finally {
    await fs.rm(draft, { force: true })
  }
}

/** The same on a file system without links. For a moment the lock has no holder in it and passes for a dead one's: the checks after it see to that. */
async function createWithoutLink(lock: string, self: Holder): Promise<boolean> {
  try {
    await fs.writeFile(lock, JSON.stringify(self), { flag: 'wx' })
    return true
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw ioError('write', lock, cause)
  }
}

async function liveHolder(lock: string): Promise<Holder | undefined> {
  const holder = parseHolder(await readText(lock, 4096))
  if (!holder) return undefined
  if (holder.host !== os.hostname()) {
    const stats = await fs.stat(lock).catch(() => undefined)
    return stats && Date.now() - stats.mtimeMs < UNTOUCHED_MS ? holder : undefined
  }
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // Not allowed to signal it, so it lives.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined
  }
  const began = await beganOf(holder.pid)
  return began === undefined || began === holder.began ? holder : undefined
}

function parseHolder(text: string | undefined): Holder | undefined {
  try {
    const holder = JSON.parse(text ?? '')
    return Number.isSafeInteger(holder.pid) && holder.pid > 0 ? holder : undefined
  } catch {
    return undefined
  }
}

/** When a process began, in clock ticks since the machine started; undefined where the system does not say. */
async function beganOf(pid: number): Promise<string | undefined> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
