import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { livePull, withLock } from '../../dist/registry/storeLock.js'

const root = mkdtempSync(join(tmpdir(), 'mixtral-lock-'))
afterAll(() => rmSync(root, { recursive: true }))

let folder: string
let count = 0
beforeEach(() => {
  folder = join(root, String(count++))
})
const lock = (work: () => Promise<unknown>, onWait?: (pid: number) => void) => withLock(join(folder, 'a'), { onWait }, work)

async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await new Promise((resolve) => child.on('close', resolve))
  return child.pid!
}

function writeLock(holder: Record<string, unknown>, number = 1): string {
  const file = join(folder, `a.lock.${number}`)
  writeFileSync(file, JSON.stringify({ pid: process.pid, host: hostname(), began: '', nonce: 'x', ...holder }))
  return file
}

test('twenty at once go one after the other', async () => {
  let inside = 0
  let done = 0
  const one = () =>
    lock(async () => {
      expect(++inside).toBe(1)
      await sleep(2)
      inside--
      done++
    })
  await Promise.all(Array.from({ length: 20 }, one))
  expect(done).toBe(20)
  expect(readdirSync(folder)).toEqual([])
})

test('the lock of a dead process is taken over, by one of many', async () => {
  await lock(async () => {})
  writeLock({ pid: await deadProcess() }, 3)
  let inside = 0
  const one = () =>
    lock(async () => {
      expect(++inside).toBe(1)
      await sleep(2)
      inside--
    })
  await Promise.all(Array.from({ length: 10 }, one))
  expect(readdirSync(folder)).toEqual([])
})

test.skipIf(!existsSync('/proc/self/stat'))('a process that has the number of a dead one does not hold its lock', async () => {
  await lock(async () => {})
  writeLock({ pid: process.ppid, began: '1' })
  await lock(async () => {})
  expect(readdirSync(folder)).toEqual([])
})

test('a lock that is no lock is taken over', async () => {
  await lock(async () => {})
  writeFileSync(join(folder, 'a.lock.1'), '{"pid')
  await lock(async () => {})
})

test('the lock of another machine holds while it is touched', async () => {
  await lock(async () => {})
  const file = writeLock({ host: 'elsewhere', pid: 42 })
  const waited: number[] = []
  const taken = lock(
    async () => 'taken',
    (pid) => waited.push(pid),
  )
  expect(await Promise.race([taken, sleep(300)])).toBeUndefined()
  expect(waited).toEqual([42])
  expect(await livePull(root)).toBe(42)
  const longAgo = new Date(Date.now() - 200_000)
  utimesSync(file, longAgo, longAgo)
  expect(await taken).toBe('taken')
  expect(await livePull(root)).toBeUndefined()
})

test('the lock is given back when the work fails', async () => {
  await expect(lock(() => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
  expect(readdirSync(folder)).toEqual([])
})
