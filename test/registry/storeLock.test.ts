import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import { livePull, withLock } from '../../dist/registry/stores/storeLock.js'

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

/** Puts down the lock of another process; of this machine, whose name for itself comes from a lock of its own. */
async function writeLock(holder: { pid?: number; began?: string; host?: string }): Promise<string> {
  let name = ''
  await lock(async () => {
    name = readdirSync(folder).find((entry) => entry.includes('~lock.'))!
  })
  const [, pid, began, host] = name.split('~lock')[1]!.split('.')
  const all = { pid, began, host, ...holder }
  const file = join(folder, `a~lock.${all.pid}.${all.began}.${all.host}.00000000`)
  writeFileSync(file, '')
  return file
}

/** Asks for the lock `count` times at once: its holders come one after the other, and no file of a lock is left. */
async function expectOneAtATime(count: number): Promise<void> {
  let inside = 0
  let done = 0
  const one = () =>
    lock(async () => {
      expect(++inside).toBe(1)
      await sleep(2)
      inside--
      done++
    })
  await Promise.all(Array.from({ length: count }, one))
  expect(done).toBe(count)
  expect(readdirSync(folder)).toEqual([])
}

test('of locks put down at once at most one is had, also between processes', async () => {
  // Each takes the lock thirty times, and fails if it finds somebody's mark.
  const script = `import { withLock } from ${JSON.stringify(new URL('../../dist/registry/stores/storeLock.js', import.meta.url).href)}
    import { rmSync, writeFileSync } from 'node:fs'
    for (let n = 0; n < 30; n++) await withLock(process.argv[1], {}, async () => {
      writeFileSync(process.argv[1] + '.mark', '', { flag: 'wx' })
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 2))
      rmSync(process.argv[1] + '.mark')
    })`
  const ends = Array.from({ length: 4 }, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, join(folder, 'a')], { stdio: 'ignore' })
    return new Promise((resolve) => child.on('close', resolve))
  })
  expect(await Promise.all(ends)).toEqual([0, 0, 0, 0])
  expect(readdirSync(folder)).toEqual([])
})

test('twenty at once go one after the other', async () => {
  await expectOneAtATime(20)
})

test('the lock of a dead process is taken over, by one of many', async () => {
  await writeLock({ pid: await deadProcess() })
  await expectOneAtATime(10)
})

test.skipIf(!existsSync('/proc/self/stat'))('a process that has the number of a dead one does not hold its lock', async () => {
  await writeLock({ pid: process.ppid, began: '1' })
  await lock(async () => {})
  expect(readdirSync(folder)).toEqual([])
})

test('a process of which nobody knows when it began holds its lock', async () => {
  const file = await writeLock({ pid: process.ppid, began: '' })
  const taken = lock(async () => 'taken')
  expect(await Promise.race([taken, sleep(300)])).toBeUndefined()
  rmSync(file)
  expect(await taken).toBe('taken')
})

test('the lock of another machine holds while it is touched', async () => {
  const file = await writeLock({ host: '12345678', pid: 42 })
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

test('a lock that cannot be deleted keeps nobody of its process waiting', async () => {
  const rm = vi.spyOn(fs, 'rm')
  const failing = lock(async () => rm.mockRejectedValueOnce(new Error('EIO')))
  await expect(failing).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(/cannot delete .*EIO/) })
  expect(readdirSync(folder)).toHaveLength(1)
  expect(await livePull(folder)).toBeUndefined()
  const waits: number[] = []
  await lock(
    async () => {},
    (pid) => waits.push(pid),
  )
  expect(waits).toEqual([])
  expect(readdirSync(folder)).toEqual([])
  rm.mockRestore()
})

test('a lock whose making fails is not left', async () => {
  await lock(async () => {})
  const readdir = vi.spyOn(fs, 'readdir').mockResolvedValueOnce([]).mockRejectedValueOnce(new Error('EIO'))
  await expect(lock(async () => {})).rejects.toMatchObject({ code: 'IO' })
  readdir.mockRestore()
  expect(readdirSync(folder)).toEqual([])
})

test('a lock whose time is made up is not waited for for ever', async () => {
  const file = await writeLock({ host: '00000000' })
  utimesSync(file, 4e9, 4e9)
  const clock = vi.spyOn(performance, 'now')
  let waits = 0
  await lock(
    async () => {},
    () => {
      waits++
      clock.mockReturnValue(performance.now() + 121_000)
    },
  )
  clock.mockRestore()
  expect([waits, existsSync(file)]).toEqual([1, false])
})
