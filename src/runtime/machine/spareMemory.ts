// How much memory this process may still take without harm to anybody: what the system calls available, or less where a control group (a container, a service) has a limit. The page cache
// counts as free. Measures once; knows no model.

import { readFileSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'
import { posix } from 'node:path'

/** The program itself: engine, compiled kernels, the threads' own memory. */
const PROGRAM_BYTES = 250e6
/** What is left to others, who may want more in a moment. */
const LEFT_FREE = 0.05

/** Bytes that a model may take by default; infinite where the system does not say. */
export function spareMemory(): number {
  return Math.max(0, availableMemory(process.platform, readText) * (1 - LEFT_FREE) - PROGRAM_BYTES)
}

/** Bytes that are available on this system. read: the text of a file of /proc or /sys, or nothing. */
export function availableMemory(platform: string, read: (path: string) => string | undefined): number {
  if (platform === 'win32') return freemem()
  if (platform !== 'linux') return totalmem() * 0.75 // what is called free there leaves out what would be given up
  const [, kibibytes] = /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '') ?? []
  const system = kibibytes === undefined ? Number.POSITIVE_INFINITY : Number(kibibytes) * 1024
  return Math.min(system, ...controlGroups(read('/proc/self/cgroup') ?? '').map((group) => roomIn(group, read)))
}

interface ControlGroup {
  readonly folder: string
  readonly version: 1 | 2
}

/** The groups that limit this process's memory: its own and those around it. In a container, its own may be all there is to see. */
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

/** The limit, less what is in use and is no page cache that could be given up. */
function roomIn({ folder, version }: ControlGroup, read: (path: string) => string | undefined): number {
  const number = (file: string) => {
    const text = read(`${folder}/${file}`)?.trim()
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
  }
  const limit = number(version === 2 ? 'memory.max' : 'memory.limit_in_bytes')
  const used = number(version === 2 ? 'memory.current' : 'memory.usage_in_bytes')
  if (limit === undefined || used === undefined) return Number.POSITIVE_INFINITY
  const stat = read(`${folder}/memory.stat`) ?? ''
  const counted = (name: string) => Number(new RegExp(`^${version === 2 ? name : `total_${name}`} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0)
  // files in memory, as of a tmpfs, are in the cache and cannot be given up
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

/** Deno would ask its user. */
function mayRead(path: string): boolean {
  const { Deno } = globalThis as { Deno?: { permissions: { querySync(query: { name: string; path: string }): { state: string } } } }
  return Deno === undefined || Deno.permissions.querySync({ name: 'read', path }).state === 'granted'
}
