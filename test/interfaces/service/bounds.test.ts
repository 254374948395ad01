// What clients may keep on a server, with limits that are lower than they are.

import { type ClientRequest, request as httpRequest } from 'node:http'
import { beforeEach, expect, test } from 'vitest'
import { limits } from '../../../dist/base/limits.js'
import type { RunningServer } from '../../../dist/server.js'
import { complete } from '../batch/batchFiles.js'
import { until } from '../server/served.js'
import { begun, clientOf, ended, filesIn, sent, textOf, withStores } from './storing.js'

const storing = withStores()
let server: RunningServer
let folder: string
let tests = 0
beforeEach(async () => {
  folder = storing.folder(`bounds${tests++}`)
  server = await storing.start(folder)
})
const client = () => clientOf(server)

async function withLimit(
  name: 'storedFile' | 'storedFiles' | 'storedBytes' | 'storedBatches' | 'servedBatch',
  most: number,
  work: () => Promise<void>,
) {
  const limit = limits[name] as { most: number }
  const usual = limit.most
  limit.most = most
  try {
    await work()
  } finally {
    limit.most = usual
  }
}

test('a file that turns out too large is 413, and leaves nothing', () =>
  withLimit('storedFile', 100_000, async () => {
    await sent(client(), 'x'.repeat(100_000))
    const { length } = filesIn(folder)
    await expect(sent(client(), 'x'.repeat(100_001))).rejects.toMatchObject({ status: 413 })
    const pieces = new ReadableStream({
      pull(controller) {
        controller.enqueue(Buffer.from(`--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n${'x'.repeat(70_000)}`))
      },
    })
    const headers = { 'content-type': 'multipart/form-data; boundary=B' }
    const init = { method: 'POST', body: pieces, headers, duplex: 'half' } as RequestInit
    const status = await fetch(`${server.url}/v1/files`, init).then(
      (response) => response.status,
      () => 413, // the connection was cut before the answer was read
    )
    expect(status).toBe(413)
    await until(() => filesIn(folder).length === length)
  }))

test('a file of nothing but wrong lines is not read on when a hundred are known', async () => {
  const { user, system } = process.cpuUsage()
  const { id } = await begun(client(), 'x\n'.repeat(2_000_000), '/v1/completions')
  const batch = await ended(client(), id)
  const taken = process.cpuUsage({ user, system })
  expect(batch.errors!.data).toHaveLength(100)
  expect(batch.errors!.data![99]).toMatchObject({ line: 100, code: 'invalid_json_line' })
  expect((taken.user + taken.system) / 1e6).toBeLessThan(5)
})

test('uploads that were refused count for nothing, neither for more nor for less', async () => {
  await withLimit('storedFile', 100_000, async () => {
    for (let i = 0; i < 3; i++) await sent(client(), 'x'.repeat(130_000)).catch(() => {})
    await until(() => filesIn(folder).length === 0)
  })
  await withLimit('storedBytes', 150_000, async () => {
    await sent(client(), 'x'.repeat(90_000))
    await expect(sent(client(), 'x'.repeat(70_000))).rejects.toMatchObject({ status: 400 })
    await sent(client(), 'x'.repeat(60_000))
  })
})

test('more files than may be, or more bytes, are refused until some are deleted', async () => {
  await withLimit('storedFiles', 2, async () => {
    const { id } = await sent(client(), 'a')
    await sent(client(), 'b')
    await expect(sent(client(), 'c')).rejects.toMatchObject({ status: 400, message: expect.stringContaining('delete some') })
    await client().files.delete(id)
    await sent(client(), 'c')
  })
  await withLimit('storedBytes', 1000, async () => {
    const { id } = await sent(client(), 'x'.repeat(900))
    await expect(sent(client(), 'x'.repeat(200))).rejects.toMatchObject({ status: 400 })
    await client().files.delete(id)
    for (let i = 0; i < 3; i++) await client().files.delete((await sent(client(), 'x'.repeat(900))).id)
  })
})

test('of more batches than may be, those are forgotten that ended first, and none that has not', () =>
  withLimit('storedBatches', 2, async () => {
    const one = textOf([complete('A', { max_tokens: 1 })])
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push((await ended(client(), (await begun(client(), one, '/v1/completions')).id)).id)
    expect((await client().batches.list()).data.map(({ id }) => id)).toEqual([ids[2], ids[1]])
    const tensors = storing.model.traceEach([1, 2, 3], { hold: true })
    await tensors.next()
    for (let i = 0; i < 2; i++) await begun(client(), one, '/v1/completions')
    await expect(begun(client(), one, '/v1/completions')).rejects.toMatchObject({ status: 429 })
    await tensors.return(undefined)
  }))

test('a batch of more requests than may be is failed', () =>
  withLimit('servedBatch', 2, async () => {
    const text = textOf([complete('A'), complete('B'), complete('C')])
    const { status, errors } = await ended(client(), (await begun(client(), text, '/v1/completions')).id)
    expect([status, errors!.data]).toMatchObject(['failed', [{ code: 'invalid_file', line: 3 }]])
  }))

test('uploads that hang leave places to others, and end with the server', async () => {
  const hanging: ClientRequest[] = []
  for (let i = 0; i < 8; i++) {
    const asked = httpRequest(`${server.url}/v1/files`, { method: 'POST', headers: { 'content-type': 'multipart/form-data; boundary=B' } })
    asked.on('error', () => {})
    asked.write('--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nxxxxxxxxxxxx')
    hanging.push(asked)
  }
  await until(() => filesIn(folder).length === 8)
  await expect(sent(client(), 'x')).rejects.toMatchObject({ status: 503 })
  hanging.pop()!.destroy()
  await until(() => filesIn(folder).length === 7)
  await sent(client(), 'x')
  await server.close()
  await until(() => filesIn(folder).length === 2)
})
