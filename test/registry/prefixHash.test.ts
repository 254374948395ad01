import crypto, { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import { download } from '../../dist/registry/transfer/download.js'
import { PartialFile } from '../../dist/registry/transfer/partialFile.js'
import { hashWhileDownloading } from '../../dist/registry/transfer/prefixHash.js'
import { useRegistry } from './useRegistry.js'

const { server, newFolder } = useRegistry()
const folder = mkdtempSync(join(tmpdir(), 'mixtral-hash-'))
afterAll(() => rmSync(folder, { recursive: true }))

const large = crypto.randomBytes(10_000_000)
const sha256 = createHash('sha256').update(large).digest('hex')

/** Counts the hashes that this thread begins. */
let begun: number
beforeEach(() => {
  begun = 0
  const { createHash: whole } = crypto
  vi.spyOn(crypto, 'createHash').mockImplementation((...args) => {
    begun++
    return whole(...args)
  })
  syncBuiltinESMExports()
})
afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
})

async function partialFile(written: number): Promise<PartialFile> {
  const partial = await PartialFile.open(join(newFolder(), 'a'), { bytes: large.length, identity: sha256, model: 'm' })
  await partial.write(large.subarray(0, written), 0)
  return partial
}
const open = new AbortController().signal

test('a large file is hashed by another thread, also what an earlier attempt has left', async () => {
  server.files.set('/a.gguf', large)
  const file = { address: `http://${server.blobHost}/a.gguf`, name: 'a.gguf', bytes: large.length, sha256 }
  const target = join(newFolder(), 'a.gguf')
  const controller = new AbortController()
  const stopped = download(file, target, { signal: controller.signal, onLoaded: (bytes) => bytes > 4_000_000 && controller.abort() })
  await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
  expect(await download(file, target)).toBe(sha256)
  expect(begun).toBe(0)
})

test('a small file is hashed without a thread', async () => {
  server.files.set('/a.gguf', large.subarray(0, 1000))
  await download({ address: `http://${server.blobHost}/a.gguf`, name: 'a.gguf', bytes: 1000, version: '1' }, join(newFolder(), 'a.gguf'))
  expect(begun).toBe(1)
})

test('the hash follows the bytes as they come, in any order', async () => {
  const partial = await partialFile(0)
  const hash = hashWhileDownloading(partial, open)
  for (const at of [3_000_000, 0, 9_000_000, 6_000_000]) {
    await partial.write(large.subarray(at, Math.min(at + 3_000_000, large.length)), at)
    await sleep(20)
  }
  expect(await hash).toBe(sha256)
  await partial.close()
})

test('an abort ends the thread', async () => {
  const partial = await partialFile(9_000_000)
  const controller = new AbortController()
  const hash = hashWhileDownloading(partial, controller.signal)
  controller.abort()
  await expect(hash).rejects.toMatchObject({ code: 'ABORTED' })
  await partial.close()
})

test('bytes that are lost while they are hashed are an IO error, and so is a file that is gone', async () => {
  const partial = await partialFile(0)
  const lost = hashWhileDownloading(partial, open)
  lost.catch(() => {})
  await partial.write(large, 0)
  writeFileSync(`${partial.path}.partial`, new Uint8Array(100))
  await expect(lost).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/^cannot read .*a\.partial: it ends at byte 100, /),
  })
  await partial.close()

  const gone = await partialFile(9_000_000)
  rmSync(`${gone.path}.partial`)
  const read = hashWhileDownloading(gone, open)
  await expect(read).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('ENOENT') })
  await gone.close()
})
