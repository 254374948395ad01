// Claims of parts of a work that several processes share, on one machine or on several with a common folder. A claim is
// an empty file whose name holds all: PART~claim.PID.BEGAN.HOST.NONCE. A process has a part if no other live one has a
// claim of it. A claim is live while its process is alive and touches it. Two may have one part for a while, where one
// was paused: what they make of it must be the same.

import fs from 'node:fs/promises'
import path from 'node:path'
import { ioError } from '../../base/files/byteSource.js'
import { beganOf, isTouched, processState, thisProcess } from '../../base/files/processState.js'

const TOUCH_MS = 5000
/** A process that is paused, or on another machine that has ended, is waited for as long. */
const UNTOUCHED_MS = 60_000

export class Claims {
  readonly #folder: string
  /** The files of the parts that are held, by part. */
  readonly #held = new Map<string, string>()
  readonly #touching: NodeJS.Timeout

  constructor(folder: string) {
    this.#folder = folder
    const touch = () => {
      for (const file of this.#held.values()) void fs.utimes(file, new Date(), new Date()).catch(() => {})
    }
    this.#touching = setInterval(touch, TOUCH_MS)
    this.#touching.unref()
  }

  holds(part: string): boolean {
    return this.#held.has(part)
  }

  /** The parts that live processes have, this one included. Removes the claims of others. Throws `IO`. */
  async taken(): Promise<Set<string>> {
    const parts = new Set(this.#held.keys())
    const names = await fs.readdir(this.#folder).catch((cause) => {
      throw ioError('read', this.#folder, cause)
    })
    for (const name of names) {
      const claim = claimOf(name)
      if (!claim || parts.has(claim.part)) continue
      if (await isLive(claim, path.join(this.#folder, name))) parts.add(claim.part)
      else await fs.rm(path.join(this.#folder, name), { force: true }).catch(() => {})
    }
    return parts
  }

  /** Takes a part. False where another live process has it, or wants it at the same moment. Throws `IO`. */
  async take(part: string): Promise<boolean> {
    const { pid, began, host } = await thisProcess()
    const file = path.join(this.#folder, `${part}~claim.${pid}.${began}.${host}.${crypto.randomUUID().slice(0, 8)}`)
    await fs.writeFile(file, '', { flag: 'wx' }).catch((cause) => {
      throw ioError('write', file, cause)
    })
    // of two that were made at once, at least the later one sees the other
    this.#held.set(part, file)
    if (await this.#isAlone(part, file)) return true
    await this.release(part)
    return false
  }

  /** Gives a part back. Never throws: a claim that stays ends with the process. */
  async release(part: string): Promise<void> {
    const file = this.#held.get(part)
    this.#held.delete(part)
    if (file !== undefined) await fs.rm(file, { force: true }).catch(() => {})
  }

  /** Gives all parts back. */
  async close(): Promise<void> {
    clearInterval(this.#touching)
    for (const part of [...this.#held.keys()]) await this.release(part)
  }

  async #isAlone(part: string, own: string): Promise<boolean> {
    for (const name of await fs.readdir(this.#folder)) {
      const claim = claimOf(name)
      const file = path.join(this.#folder, name)
      if (claim?.part === part && file !== own && (await isLive(claim, file))) return false
    }
    return true
  }
}

interface Claim {
  readonly part: string
  readonly pid: number
  readonly began: string
  readonly host: string
}

function claimOf(name: string): Claim | undefined {
  const [, part, pid, began, host] = /^(.+)~claim\.([1-9]\d{0,9})\.(\d{0,20})\.([0-9a-f]{8})\.[0-9a-f]{8}$/.exec(name) ?? []
  return part === undefined ? undefined : { part, pid: Number(pid), began: began!, host: host! }
}

async function isLive({ pid, began, host }: Claim, file: string): Promise<boolean> {
  if (host === (await thisProcess()).host) {
    const found = await beganOf(pid)
    if (found !== '' && began !== '' && began !== found) return false
    if (found === '' && processState(pid) === 'gone') return false
  }
  return isTouched(file, UNTOUCHED_MS)
}
