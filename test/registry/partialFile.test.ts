import fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PartialFile } from '../../dist/registry/transfer/partialFile.js'

let file = ''
beforeAll(async () => {
  file = path.join(await fs.mkdtemp(path.join(tmpdir(), 'mixtral-partial-')), 'a.gguf')
})
afterAll(() => fs.rm(path.dirname(file), { recursive: true }))

const kind = { bytes: 2_000_000, identity: 'abc', model: 'm' }

/** Opens a partial file with as many bytes as there can be, and this log. */
async function opened(lines: readonly string[]): Promise<{ loaded: number; seconds: number }> {
  await fs.writeFile(`${file}.partial.log`, `${JSON.stringify(kind)}\n${lines.join('\n')}\n`)
  await fs.writeFile(`${file}.partial`, new Uint8Array(kind.bytes))
  const began = process.cpuUsage()
  const partial = await PartialFile.open(file, kind)
  const { user, system } = process.cpuUsage(began)
  const { loaded } = partial
  await partial.discard()
  return { loaded, seconds: (user + system) / 1e6 }
}

test('a log of half a million lines takes the time of reading it, in whatever order they are', async () => {
  const joined = Array.from({ length: 500_000 }, (_, n) => `${(n * 7919) % 500_000} 1`)
  const { loaded, seconds } = await opened(joined)
  expect(loaded).toBe(500_000)
  expect(seconds).toBeLessThan(5) // of the processor; looking at all spans for each line, it took minutes
})

test('a log of more pieces than any download leaves is begun anew', async () => {
  const apart = (count: number) => Array.from({ length: count }, (_, n) => `${3 * n} 1`)
  expect((await opened(apart(4096))).loaded).toBe(4096)
  const { loaded, seconds } = await opened(apart(500_000))
  expect(loaded).toBe(0)
  expect(seconds).toBeLessThan(5)
})

test('lines that are cut short, or say more than there is, count for nothing', async () => {
  expect((await opened(['0 10', '5 10', '100', '200 ', '1999999 5', 'x 5', '50 5'])).loaded).toBe(20)
})
