// The memory that this machine has for a model: what the system calls available, or less where a control group (a
// container, a service) has a limit. The page cache counts as free. Knows no model; what a model needs is its plan
// (weights/plan.ts).

import { readFileSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'
import { posix } from 'node:path'

/** Bytes of the program itself: code, compiled kernels, the threads' own memory. */
const PROGRAM_BYTES = 250e6
/** Share of the available memory that is left to other programs. */
const RESERVED = 0.05

/** Whole bytes that a model may take unless its caller sets a limit. Infinite where the system does not tell. */
export function memoryBudget(): number {
  return Math.max(0, Math.floor(availableMemory(process.platform, readText) * (1 - RESERVED)) - PROGRAM_BYTES)
}

/** Bytes available on this system. `read` gives the text of a file of /proc or /sys, or undefined. */
export function availableMemory(platform: string, read: (path: string) => string | undefined): number {
  if (platform === 'win32') return freemem()
  if (platform !== 'linux') return totalmem() * 0.75 // there, caches do not count as free memory
  const [, kibibytes] = /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '') ?? []
  const system = kibibytes === undefined ? Number.POSITIVE_INFINITY : Number(kibibytes) * 1024
  return Math.min(system, ...controlGroups(read('/proc/self/cgroup') ?? '').map((group) => availableIn(group, read)))
}

interface ControlGroup {
  readonly folder: string
  readonly version: 1 | 2
}

/**
 * The groups that limit this process's memory: its own and those around it. Inside a container only its own group may
 * be visible.
 */
function controlGroups(text: string): ControlGroup[] {
  return text.split('\n').flatMap((line) => {
    const [, number, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    if (path === undefined) return []
    const version = number === '0' && controllers === '' ? 2 : 1
    if (version === 1 && !controllers!.split(',').includes('memory')) return []
    const root = version === 2 ? '/sys/fs/cgroup' : '/sys/fs/cgroup/memory'
    const groups: ControlGroup[] = []
    for (let at = path; ; at = posix.dirname(at)) {
      groups.push({ folder: at === '/' ? root : root + at, version })
      if (at === '/') return groups
    }
  })
}

/**
 * The limit of a group, less the memory in use that is not page cache. Above memory.high no program is killed, but all
 * of them wait for the system to take pages away: it is a limit, too.
 */
function availableIn({ folder, version }: ControlGroup, read: (path: string) => string | undefined): number {
  const number = (file: string) => {
    const text = read(`${folder}/${file}`)?.trim()
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
  }
  const limits = (version === 2 ? ['memory.max', 'memory.high'] : ['memory.limit_in_bytes']).map(number)
  const limit = limits.reduce((least, one) => (least === undefined ? one : Math.min(least, one ?? least)), undefined)
  const used = number(version === 2 ? 'memory.current' : 'memory.usage_in_bytes')
  if (limit === undefined || used === undefined) return Number.POSITIVE_INFINITY
  const stat = read(`${folder}/memory.stat`) ?? ''
  const counted = (name: string) => Number(new RegExp(`^${version === 2 ? name : `total_${name}`} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0)
  // Files of a tmpfs count as page cache, but the system cannot give them up.
  const cache = Math.max(0, counted(version === 2 ? 'file' : 'cache') - counted('shmem'))
  return Math.max(0, limit - Math.max(0, used - cache))
}

function readText(path: string): string | undefined {
  if (!mayRead(path)) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** On Deno, a read without permission would stop the program with a question to the user. */
function mayRead(path: string): boolean {
  const { Deno } = globalThis as { Deno?: { permissions: { querySync(query: { name: string; path: string }): { state: string } } } }
  return Deno === undefined || Deno.permissions.querySync({ name: 'read', path }).state === 'granted'
}
