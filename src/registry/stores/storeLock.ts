// A lock of a file, held by one process while others wait, so that two pulls never write into the same file. A process
// that wants the lock creates an empty file FILE~lock.PID.BEGAN.HOST.NONCE. It has the lock if no other live process
// has such a file; otherwise it deletes its own and retries later. The name holds all the information: so the lock
// never lacks a holder, a kill leaves nothing half-written, and a live lock is removed by its owner only.

import fs from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { filesUnder } from '../../base/files/optionalFiles.js'
import { createFile, makeFolder } from '../../base/files/ownFiles.js'
import { beganOf, isTouched, type ProcessMark, processState, thisProcess } from '../../base/files/processState.js'
import { limits } from '../../base/limits.js'

interface Holder extends ProcessMark {
  /** Tells two locks of one process apart. */
  readonly nonce: string
}

const POLL_MS = 100
/**
 * A lock of another machine, on a shared disk, is live while its file is touched; so is one whose process cannot be
 * queried.
 */
const TOUCH_MS = 10_000
const UNTOUCHED_MS = 120_000
/** Folders inside each other in a store, those of repositories included. */
const DEEPEST = 4 + limits.repositoryFolders.most

/**
 * Waits for the lock of a file, calls `work` and releases the lock. `onWait` is called once, with the number of the
 * process that holds it. Throws what `work` throws, `ABORTED` if the signal fires while waiting, `IO` if the folder
 * cannot be written to.
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
    await release(lock)
  }
}

/** Locks of this process that could not be deleted: their work has ended, although their process lives. */
const released = new Set<string>()

async function release(lock: string): Promise<void> {
  released.add(lock)
  await fs.rm(lock, { force: true }).catch(failure('delete', lock))
  released.delete(lock)
}

/** The number of a process that is pulling a file into the folder; undefined if none is. */
export async function livePull(folder: string): Promise<number | undefined> {
  for (const file of await filesUnder(folder, DEEPEST).catch(() => [])) {
    const holder = holderOf(path.basename(file))
    const lock = path.join(folder, file)
    if (holder && !released.has(lock) && (await isLive(holder, lock))) return holder.pid
  }
  return undefined
}

/** Whether a file has a lock, of a live process or of a killed one. */
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
      await makeFolder(path.dirname(file)).catch(failure('write', path.dirname(file)))
      try {
        await createFile(mine).then((handle) => handle.close(), failure('write', mine))
        // Of two processes that created theirs at once, at least the later one sees the other's.
        other = await otherHolder(file, self)
      } catch (error) {
        await release(mine).catch(() => {}) // the first error tells more
        throw error
      }
      if (!other) return mine
      await release(mine)
    } else if (!waiting) {
      waiting = true
      onWait?.(other.pid)
    }
    // Random waits, so that two processes that backed off do not collide again.
    await sleep(POLL_MS * (0.5 + Math.random()), undefined, signal ? { signal } : {}).catch(() => {
      throw abortedError(signal)
    })
  }
}

/** Another live process that holds or wants the lock. Locks of dead processes are removed. */
async function otherHolder(file: string, self: Holder): Promise<Holder | undefined> {
  for (const { lock, holder } of await locksOf(file)) {
    if (holder.nonce === self.nonce && holder.pid === self.pid) continue
    if (!released.has(lock) && (await isLive(holder, lock))) return holder
    await fs.rm(lock, { force: true }).catch(failure('delete', lock))
  }
  return undefined
}

async function locksOf(file: string): Promise<{ readonly lock: string; readonly holder: Holder }[]> {
  const folder = path.dirname(file)
  const entries = await fs.readdir(folder, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return []
    throw ioError('read', folder, cause)
  })
  return entries.flatMap((entry) => {
    const { name } = entry
    const holder = entry.isFile() && name.startsWith(`${path.basename(file)}~lock.`) && holderOf(name)
    return holder ? [{ lock: path.join(folder, name), holder }] : []
  })
}

function holderOf(name: string): Holder | undefined {
  const [, pid, began, host, nonce] = /~lock\.([1-9]\d{0,9})\.(\d{0,20})\.([0-9a-f]{8})\.([0-9a-f]{8})$/.exec(name) ?? []
  return pid === undefined ? undefined : { pid: Number(pid), began: began!, host: host!, nonce: nonce! }
}

async function isLive({ pid, began, host }: Holder, lock: string): Promise<boolean> {
  if (host !== (await thisProcess()).host) return isTouched(lock, UNTOUCHED_MS)
  const found = await beganOf(pid)
  if (found !== '') return began === '' || began === found
  const state = processState(pid)
  if (state !== 'unknown') return state === 'lives'
  return (await beganOf(process.pid)) === '' && isTouched(lock, UNTOUCHED_MS) // /proc has told, or the file does
}

function failure(doing: string, file: string): (cause: unknown) => never {
  return (cause) => {
    throw ioError(doing, file, cause)
  }
}
