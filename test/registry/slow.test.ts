// Servers that take their time: none holds a command for ever, whatever it sends.

import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { download } from '../../dist/registry/transfer/download.js'
import { exchange, readBody } from '../../dist/registry/transfer/exchange.js'
import { withPatience } from '../../dist/registry/transfer/patience.js'
import { useRegistry } from './useRegistry.js'

const { newFolder } = useRegistry()
let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** A server that answers every request in this way. Returns its address. */
async function serve(answer: (response: ServerResponse) => void): Promise<string> {
  server = createServer((_, response) => answer(response))
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.gguf`
}

const drip = (bytes: number, everyMs: number) => (response: ServerResponse) => {
  response.writeHead(200, { 'content-length': 1_000_000 })
  const timer = setInterval(() => response.write(Buffer.alloc(bytes)), everyMs)
  response.on('close', () => clearInterval(timer))
}
const ask = (address: string, limits: { stallMs?: number; totalMs?: number }) =>
  exchange({ address, ...limits }, (_, chunks) => readBody(chunks, 2 ** 20, 'it'))

test.each([
  ['drips', { totalMs: 300 }, /^127\.0\.0\.1:\d+ sent only \d+ bytes in \d+ seconds$/],
  ['drips so little that it counts as silence', { stallMs: 300 }, /^127\.0\.0\.1:\d+ sent only \d+ bytes in 0 seconds$/],
])('an answer that %s is given up', async (_, limits, says) => {
  const address = await serve(drip(1, 20))
  const began = performance.now()
  await expect(ask(address, limits)).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(says) })
  expect(performance.now() - began).toBeLessThan(3000)
})

test('a short answer that drips is not asked for again', async () => {
  let asked = 0
  const address = await serve((response) => {
    asked++
    drip(1, 20)(response)
  })
  await expect(withPatience('a', undefined, () => ask(address, { stallMs: 200 }))).rejects.toThrow('sent only')
  expect(asked).toBe(1)
})

test('an answer has more time the more it brings', async () => {
  const address = await serve((response) => {
    let sent = 0
    const timer = setInterval(() => {
      response.write(Buffer.alloc(16_384))
      if (++sent === 20) {
        clearInterval(timer)
        response.end()
      }
    }, 30)
  })
  expect(await ask(address, { totalMs: 300 })).toHaveLength(20 * 16_384)
})

test('the time that the reader of an answer takes does not count', async () => {
  const address = await serve((response) => response.end(Buffer.alloc(100_000)))
  const slowly = exchange({ address, stallMs: 200, totalMs: 200 }, async (_, chunks) => {
    let bytes = 0
    for await (const chunk of chunks) {
      await new Promise((resolve) => setTimeout(resolve, 300))
      bytes += chunk.length
    }
    return bytes
  })
  expect(await slowly).toBe(100_000)
})

test('a download that drips is given up', async () => {
  const address = await serve(drip(1, 10))
  const pace = { connections: 4, rangeBytes: 1e6, writeBytes: 1e5, attempts: 2, delayMs: 1, stallMs: 200 }
  const file = { address, name: 'a', bytes: 1_000_000, version: '1' }
  await expect(download(file, join(newFolder(), 'a.gguf'), { pace })).rejects.toThrow(/sent only \d+ bytes in 0 seconds, 2 times in a row$/)
})

test('a server that asks to wait long before a short answer is not asked again', async () => {
  const address = await serve((response) => response.writeHead(429, { 'retry-after': '299' }).end())
  const began = performance.now()
  await expect(withPatience('a', undefined, () => ask(address, {}))).rejects.toThrow('a: 127.0.0.1:')
  expect(performance.now() - began).toBeLessThan(5000)
})

test.each(['', 'a', 'https://300.1.1.1/', 'https://xn--a.com/x', 'https://a:99999/'])('the address %j is refused', async (address) => {
  await expect(exchange({ address }, async () => 1)).rejects.toMatchObject({ name: 'MixtralError', code: 'IO' })
})
