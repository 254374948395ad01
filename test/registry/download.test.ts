import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { BearerToken } from '../../dist/registry/transfer/bearerToken.js'
import { type DownloadOptions, download, type Pace, type RemoteFile } from '../../dist/registry/transfer/download.js'
import { randomBytes, randomNumbers } from './randomBytes.js'
import type { Fault } from './registryServer.js'
import { useRegistry } from './useRegistry.js'

const { server, root, newFolder } = useRegistry()
const file = randomBytes(300_000)
const sha256 = createHash('sha256').update(file).digest('hex')
const pace: Pace = { connections: 4, rangeBytes: 50_000, writeBytes: 10_000, attempts: 6, delayMs: 1, stallMs: 5000 }

let target: string
beforeEach(() => {
  server.files.set('/a.gguf', file)
  target = join(newFolder(), 'a.gguf')
})

const remote = (more: Partial<RemoteFile> = {}): RemoteFile => ({
  address: `http://${server.blobHost}/a.gguf`,
  name: 'a.gguf',
  bytes: file.length,
  sha256,
  ...more,
})
const get = (options: DownloadOptions = {}, more: Partial<RemoteFile> = {}) => download(remote(more), target, { pace, ...options })

/** The file is right and nothing else lies beside it. */
function expectWhole(): void {
  expect(readFileSync(target).equals(file)).toBe(true)
  expect(readdirSync(join(target, '..'))).toEqual(['a.gguf'])
}

test('ranges come in parallel and make the file', async () => {
  const loaded: number[] = []
  expect(await get({ onLoaded: (bytes) => loaded.push(bytes) })).toBe(sha256)
  expectWhole()
  expect(server.seen.map(({ range }) => range).sort()).toHaveLength(6)
  expect(server.sent).toBe(file.length)
  expect(loaded).toEqual([...loaded].sort((a, b) => a - b))
  expect(loaded.at(-1)).toBe(file.length)
})

test('a connection cut at any of 100 random bytes does no harm', async () => {
  const random = randomNumbers(100)
  for (let n = 0; n < 100; n++) {
    server.reset()
    server.files.set('/a.gguf', file)
    const cuts = new Set(Array.from({ length: 3 }, () => Math.floor(random() * 8)))
    server.settings.fault = (request) => (cuts.has(request) ? { cutAfter: Math.floor(random() * 50_001) } : undefined)
    await get()
    expectWhole()
    rmSync(target)
  }
})

test('an aborted download goes on where it ended', async () => {
  const random = randomNumbers(7)
  server.settings.trickle = 2000
  let sent = 0
  for (let attempt = 0; attempt < 5; attempt++) {
    const controller = new AbortController()
    const enough = (attempt + random()) * 50_000
    const onLoaded = (bytes: number) => bytes > enough && controller.abort()
    await expect(get({ signal: controller.signal, onLoaded })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(existsSync(target)).toBe(false)
    sent = server.sent
  }
  const already: number[] = []
  await get({ onLoaded: (bytes) => already.push(bytes) })
  expectWhole()
  expect(already[0]).toBeGreaterThan(200_000)
  expect(server.sent - sent).toBeLessThan(100_000)
})

const harmless: [what: string, fault: (n: number) => Fault | undefined][] = [
  ['ranges that are shorter than asked', () => ({ shortTo: 7001 })],
  ['a range from the wrong byte', (n) => (n % 3 === 1 ? { shift: 5 } : undefined)],
  ['a range without its place', (n) => (n % 3 === 0 && n < 9 ? { headers: { 'content-range': '' } } : undefined)],
  ['a range of an unknown total', () => ({ total: '*' })],
  ['more than was asked for', (n) => ({ longBy: 1000 * n })],
  ['ranges ignored, 200 with the whole file', () => ({ ignoreRange: true })],
  ['ranges ignored now and then', (n) => (n % 4 === 2 ? { ignoreRange: true } : undefined)],
  ['ranges ignored and the connection cut', (n) => ({ ignoreRange: true, ...(n < 12 && { cutAfter: 25_000 * n }) })],
  ['429 with Retry-After', (n) => (n < 3 ? { status: 429, headers: { 'retry-after': '0' } } : undefined)],
  ['500, 502, 503 and 504', (n) => (n % 2 === 0 && n < 16 ? { status: [500, 502, 503, 504][(n / 2) % 4]! } : undefined)],
  ['connections closed before an answer', (n) => (n % 3 === 0 ? { cutAfter: 0 } : undefined)],
]

test.each(harmless)('harmless: %s', async (_, fault) => {
  server.settings.fault = fault
  await get()
  expectWhole()
})

test('a stalled connection is given up and tried again', async () => {
  server.settings.fault = (n) => (n === 1 || n === 3 ? { stallAfter: 20_000 } : undefined)
  await get({ pace: { ...pace, stallMs: 200 } })
  expectWhole()
})

test('Retry-After may be a date', async () => {
  let first = 0
  server.settings.fault = (n) => {
    if (n > 0) return undefined
    first = Date.now()
    return { status: 429, headers: { 'retry-after': new Date(first + 2000).toUTCString() } }
  }
  await get({ pace: { ...pace, connections: 1 } })
  expectWhole()
  expect(Date.now() - first).toBeGreaterThan(950) // a date has whole seconds
})

test('Retry-After is honored by all connections', async () => {
  let first = 0
  const late: number[] = []
  server.settings.fault = (n) => {
    if (n === 0) first = performance.now()
    else if (n >= 4) late.push(performance.now() - first)
    return n < 4 ? { status: 503, headers: { 'retry-after': '1' } } : undefined
  }
  await get()
  expectWhole()
  expect(Math.min(...late)).toBeGreaterThan(950)
})

const fatal: [what: string, fault: (n: number) => Fault | undefined, says: string][] = [
  ['404', () => ({ status: 404 }), 'answered 404 Not Found'],
  ['a server that always fails', () => ({ status: 500 }), 'answered 500 Internal Server Error, 6 times in a row'],
  ['a server that asks for an hour', () => ({ status: 429, headers: { 'retry-after': '3600' } }), 'asks to wait 3600 seconds'],
  ['a file of another size', () => ({ total: 300_001 }), 'it has 300001 bytes, expected 300000'],
  ['a whole file of another size', () => ({ ignoreRange: true, total: 300_001 }), 'it has 300001 bytes, expected 300000'],
  ['a compressed answer', () => ({ headers: { 'content-encoding': 'gzip' } }), 'compressed'],
  ['a redirect to nowhere', () => ({ status: 302, headers: { location: 'http://[' } }), 'expected an address'],
  ['a redirect to a file', () => ({ status: 302, headers: { location: 'file:///etc/passwd' } }), 'not followed'],
  [
    'a redirect from this machine to another without TLS',
    () => ({ status: 302, headers: { location: 'http://example.com/' } }),
    'not followed',
  ],
  ['redirects in a circle', () => ({ status: 302, headers: { location: '/a.gguf' } }), 'redirects more than 10 times'],
  ['wrong bytes', () => ({ corrupt: true }), `expected ${sha256}; it was deleted`],
]

test.each(fatal)('fatal: %s', async (_, fault, says) => {
  server.settings.fault = fault
  await expect(get()).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining(says) })
  expect(existsSync(target)).toBe(false)
})

test('a stall that does not end is told', async () => {
  server.settings.fault = () => ({ stallAfter: 0 })
  await expect(get({ pace: { ...pace, stallMs: 50, attempts: 2 } })).rejects.toThrow('sent nothing for 0.05 seconds, 2 times in a row')
})

test('a token server that falls silent is told as a stall, and asked again', async () => {
  const origin = `http://${server.host}`
  const locked = () => ({ address: `${origin}/a.gguf`, credentials: new BearerToken(origin) })
  const impatient = { pace: { ...pace, stallMs: 100, attempts: 3 } }
  server.settings.token = 'open-sesame'
  server.settings.silentTokens = Infinity
  await expect(get(impatient, locked())).rejects.toMatchObject({
    code: 'IO',
    message: `a.gguf: ${server.host} sent nothing for 0.1 seconds, 3 times in a row`,
  })
  server.settings.silentTokens = 1
  await get(impatient, locked())
  expectWhole()
})

test('a caller who does not wait for a silent token server is ABORTED', async () => {
  const origin = `http://${server.host}`
  server.settings.token = 'open-sesame'
  server.settings.silentTokens = Infinity
  const locked = { address: `${origin}/a.gguf`, credentials: new BearerToken(origin) }
  await expect(get({ signal: AbortSignal.timeout(100) }, locked)).rejects.toMatchObject({ code: 'ABORTED' })
})

test('wrong bytes are deleted, and the next attempt begins anew', async () => {
  server.settings.fault = (n) => ({ corrupt: n === 3 })
  await expect(get()).rejects.toThrow('it was deleted')
  expect(readdirSync(join(target, '..'))).toEqual([])
  delete server.settings.fault
  await get()
  expectWhole()
})

test('what the disk lost since an earlier attempt is downloaded anew without a word', async () => {
  const controller = new AbortController()
  const onLoaded = (bytes: number) => bytes > 150_000 && controller.abort()
  await expect(get({ signal: controller.signal, onLoaded })).rejects.toMatchObject({ code: 'ABORTED' })
  const partial = readFileSync(`${target}.partial`)
  writeFileSync(`${target}.partial`, partial.fill(0, 0, 60_000))
  await get()
  expectWhole()
})

test('what came of other bytes is not used', async () => {
  server.settings.fault = (n) => (n > 2 ? { status: 404 } : { corrupt: true })
  await expect(get({}, { sha256: 'a'.repeat(64) })).rejects.toThrow('404')
  delete server.settings.fault
  await get()
  expectWhole()
})

test('a log cut short by a kill counts no byte that is not there', async () => {
  server.settings.fault = (n) => (n > 2 ? { status: 404 } : undefined)
  await expect(get()).rejects.toThrow('404')
  const log = readFileSync(`${target}.partial.log`, 'utf8')
  const partial = readFileSync(`${target}.partial`)
  for (let length = 0; length <= log.length; length++) {
    writeFileSync(`${target}.partial.log`, log.slice(0, length))
    writeFileSync(`${target}.partial`, partial)
    delete server.settings.fault
    await get()
    expectWhole()
    rmSync(target)
  }
})

test('a file that changes on the server while it comes is not mixed', async () => {
  server.settings.fault = (n) => ({ headers: { etag: n < 3 ? '"one"' : '"two"' } })
  const of = (version: string) => ({ sha256: undefined, version, answerVersion: version })
  await expect(get({}, of('ETag "one"'))).rejects.toThrow('a.gguf has changed')
  await expect(get({}, of('ETag "one"'))).rejects.toThrow('a.gguf has changed')
  await get({}, of('ETag "two"'))
  expectWhole()
})

test('an empty file needs no request', async () => {
  await download(remote({ bytes: 0, sha256: createHash('sha256').digest('hex') }), target, { pace })
  expect(readFileSync(target)).toHaveLength(0)
})

test('a folder that cannot be made is an error in one line', async () => {
  writeFileSync(join(root, 'file'), '')
  await expect(download(remote(), join(root, 'file', 'a.gguf'), { pace })).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/^cannot write .+$/),
  })
})
