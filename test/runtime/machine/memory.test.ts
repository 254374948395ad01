// The memory that is available, from files as the kernel writes them.

import { expect, test } from 'vitest'
import { availableMemory, memoryBudget } from '../../../dist/runtime/machine/memory.js'

const meminfo = 'MemTotal:       24684092 kB\nMemFree:          983000 kB\nMemAvailable:   16000000 kB\n'
const available = 16000000 * 1024

const onLinux = (files: Record<string, string>) => availableMemory('linux', (path) => files[path])

test('without a control group it is what the kernel calls available', () => {
  expect(onLinux({ '/proc/meminfo': meminfo, '/proc/self/cgroup': '0::/user.slice\n' })).toBe(available)
  expect(onLinux({ '/proc/meminfo': meminfo })).toBe(available)
})

test('a limit of version 2 counts, less what is in use and no page cache, of every group around this one', () => {
  const files = {
    '/proc/meminfo': meminfo,
    '/proc/self/cgroup': '0::/a/b\n',
    '/sys/fs/cgroup/a/b/memory.max': 'max\n',
    '/sys/fs/cgroup/a/b/memory.current': '1000\n',
    '/sys/fs/cgroup/a/memory.max': '4000000000\n',
    '/sys/fs/cgroup/a/memory.current': '3000000000\n',
    '/sys/fs/cgroup/a/memory.stat': 'anon 500000000\nfile 2400000000\nfile_mapped 7\n',
  }
  expect(onLinux(files)).toBe(4e9 - 0.6e9)
})

test('where a group is slowed down above a limit, that limit counts', () => {
  const group = (high: string, max: string) => ({
    '/proc/meminfo': meminfo,
    '/proc/self/cgroup': '0::/a\n',
    '/sys/fs/cgroup/a/memory.high': high,
    '/sys/fs/cgroup/a/memory.max': max,
    '/sys/fs/cgroup/a/memory.current': '1000000000\n',
  })
  expect(onLinux(group('3000000000\n', 'max\n'))).toBe(2e9)
  expect(onLinux(group('3000000000\n', '4000000000\n'))).toBe(2e9)
  expect(onLinux(group('max\n', '4000000000\n'))).toBe(3e9)
})

test('a limit of version 1 counts, and the huge number that means none does not', () => {
  const v1 = (limit: string) => ({
    '/proc/meminfo': meminfo,
    '/proc/self/cgroup': '12:cpu,cpuacct:/docker/x\n5:memory:/\n',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes': limit,
    '/sys/fs/cgroup/memory/memory.usage_in_bytes': '700000000\n',
    '/sys/fs/cgroup/memory/memory.stat': 'cache 100\ntotal_cache 200000000\n',
  })
  expect(onLinux(v1('2000000000\n'))).toBe(1.5e9)
  expect(onLinux(v1('9223372036854771712\n'))).toBe(available)
})

test('files in memory are in the cache, and count as used', () => {
  const group = (stat: string) => ({
    '/proc/self/cgroup': '0::/a\n',
    '/sys/fs/cgroup/a/memory.max': '4000000000\n',
    '/sys/fs/cgroup/a/memory.current': '3000000000\n',
    '/sys/fs/cgroup/a/memory.stat': stat,
  })
  expect(onLinux(group('anon 500000000\nfile 2400000000\nshmem 2000000000\n'))).toBe(1.4e9)
  const v1 = {
    '/proc/self/cgroup': '5:memory:/\n',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes': '2000000000\n',
    '/sys/fs/cgroup/memory/memory.usage_in_bytes': '700000000\n',
    '/sys/fs/cgroup/memory/memory.stat': 'shmem 1\ntotal_cache 200000000\ntotal_shmem 150000000\n',
  }
  expect(onLinux(v1)).toBe(1.35e9)
})

test('where the system says nothing there is no limit', () => {
  expect(onLinux({})).toBe(Number.POSITIVE_INFINITY)
})

test('this machine has a budget, in whole bytes', () => {
  const budgets = Array.from({ length: 20 }, memoryBudget)
  for (const budget of budgets) expect(budget).toBeGreaterThan(1e8)
  expect(budgets.filter((budget) => !Number.isInteger(budget))).toEqual([])
})
