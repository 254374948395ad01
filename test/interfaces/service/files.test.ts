import { readdirSync, readlinkSync, statSync, truncateSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import path from 'node:path'
import { Readable } from 'node:stream'
import { type APIError, toFile } from 'openai'
import { beforeAll, describe, expect, test } from 'vitest'
import { ioError } from '../../../dist/base/files/byteSource.js'
import { limits } from '../../../dist/base/limits.js'
import { noRoom } from '../../../dist/interfaces/service/fileStore.js'
import type { RequestLog, RunningServer } from '../../../dist/server.js'
import { type Json, until } from '../server/served.js'
import { clientOf, contentOf, filesIn, sent, withStores } from './storing.js'

const storing = withStores()
let server: RunningServer
let folder: string
const logs: RequestLog[] = []
beforeAll(async () => {
  folder = storing.folder('files')
  server = await storing.start(folder, { log: (entry) => void logs.push(entry) })
})
const client = () => clientOf(server)

/** What a descriptor of this process is open for. */
function readlink(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return '' // closed by now
  }
}

/** What a call of the client is refused with. */
async function refusal(call: Promise<unknown>): Promise<{ status: number; message: string; param: unknown }> {
  const error = await call.then(
    () => expect.fail('it was accepted'),
    (error: unknown) => error as APIError,
  )
  return { status: error.status!, message: error.message, param: error.param }
}

test('a file is taken, told of, listed, read and deleted', async () => {
  const text = `${'{"custom_id":"a"}\n'.repeat(60_000)}`
  const before = Math.floor(Date.now() / 1000)
  const file = await sent(client(), text, 'my requests.jsonl')
  expect(file).toEqual({
    id: expect.stringMatching(/^file-[0-9a-f]{32}$/),
    object: 'file',
    bytes: text.length,
    created_at: expect.any(Number),
    expires_at: file.created_at + 2_592_000,
    filename: 'my requests.jsonl',
    purpose: 'batch',
    status: 'processed',
  })
  expect(file.created_at).toBeGreaterThanOrEqual(before)
  expect(await client().files.retrieve(file.id)).toEqual(file)
  expect((await client().files.list()).data).toEqual([file])
  expect(await client().files.waitForProcessing(file.id)).toEqual(file)
  const response = await client().files.content(file.id)
  expect(response.headers.get('content-length')).toBe(String(text.length))
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  expect(await response.text()).toBe(text)
  expect(await client().files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true })
  for (const call of [client().files.retrieve(file.id), client().files.content(file.id), client().files.delete(file.id)]) {
    expect(await refusal(call)).toMatchObject({ status: 404, param: 'id' })
  }
  expect(filesIn(folder)).toEqual([])
})

test('only the owner of the process may look into the folders, and an empty file is one', async () => {
  const { id } = await sent(client(), '')
  expect(await contentOf(client(), id)).toBe('')
  for (const name of ['.', 'files', 'batches', 'uploads']) expect(statSync(path.join(folder, name)).mode & 0o077).toBe(0)
  await client().files.delete(id)
})

test('a list is handed out in parts, in both orders, also where the last one was deleted meanwhile', async () => {
  const ids: string[] = []
  for (let i = 0; i < 5; i++) ids.push((await sent(client(), `${i}`, `${i}.jsonl`)).id)
  const listed = async (query: object) => {
    const all: string[] = []
    for await (const { id } of client().files.list(query)) all.push(id)
    return all
  }
  expect(await listed({})).toEqual(ids.toReversed())
  expect(await listed({ order: 'asc', limit: 2 })).toEqual(ids)
  expect(await listed({ purpose: 'batch_output' })).toEqual([])
  const first = await client().files.list({ limit: 2 })
  expect([first.data.map(({ id }) => id), first.has_more]).toEqual([[ids[4], ids[3]], true])
  await client().files.delete(ids[3]!)
  expect((await client().files.list({ limit: 2, after: ids[3]! })).data.map(({ id }) => id)).toEqual([ids[2], ids[1]])
  expect(await refusal(client().files.list({ limit: 0 }).then())).toMatchObject({ status: 400, param: 'limit' })
  expect(await refusal(client().files.list({ after: '../x' }).then())).toMatchObject({ status: 400, param: 'after' })
  expect(
    await refusal(
      client()
        .files.list({ order: 'up' as 'asc' })
        .then(),
    ),
  ).toMatchObject({ status: 400, param: 'order' })
  for (const id of await listed({})) await client().files.delete(id)
})

test('a file expires when its maker has said, and at the earliest after an hour', async () => {
  const file = async (seconds: number) =>
    client().files.create({
      file: await toFile(Buffer.from('x'), 'x.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds },
    })
  const { id, created_at, expires_at } = await file(3600)
  expect(expires_at! - created_at).toBe(3600)
  expect(await refusal(file(3599))).toMatchObject({ status: 400, param: 'expires_after' })
  await client().files.delete(id)
})

test('purposes that nothing here reads are refused by their names', async () => {
  const file = async (purpose: string) => client().files.create({ file: await toFile(Buffer.from('x'), 'x'), purpose: purpose as 'batch' })
  expect(await refusal(file('fine-tune'))).toMatchObject({ status: 400, param: 'purpose', message: expect.stringContaining('fine-tune') })
  expect(await refusal(file('constructor'))).toMatchObject({ status: 400, param: 'purpose' })
  expect(filesIn(folder)).toEqual([])
})

describe('forms that are no uploads', () => {
  const part = (name: string, text: string, more = '') => `--B\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${text}\r\n`
  const file = (text: string, name = 'a.jsonl') => part('file', text, `; filename="${name}"`)
  const purpose = part('purpose', 'batch')
  const post = (body: string, type = 'multipart/form-data; boundary=B') =>
    fetch(`${server.url}/v1/files`, { method: 'POST', body, headers: { 'content-type': type } })

  test.each<[what: string, body: string, type?: string]>([
    ['JSON', '{"purpose":"batch"}', 'application/json'],
    ['a form without a boundary', `${purpose}${file('x')}--B--`, 'multipart/form-data'],
    ['a boundary that is too long', '', `multipart/form-data; boundary=${'B'.repeat(71)}`],
    ['nothing', ''],
    ['a form that is cut', `${purpose}${file('x')}`],
    ['a file that is cut', `${purpose}${file('x').slice(0, -3)}`],
    ['a part without a name', '--B\r\nContent-Type: text/plain\r\n\r\nx\r\n--B--'],
    ['a part without a head', '--B\r\n\r\nx\r\n--B--'],
    ['a head without an end', `--B\r\n${'x'.repeat(20_000)}`],
    ['two files', `${purpose}${file('x')}${file('y')}--B--`],
    ['two purposes', `${purpose}${purpose}${file('x')}--B--`],
    ['a file without a name', `${purpose}${part('file', 'x')}--B--`],
    ['no file', `${purpose}--B--`],
    ['no purpose', `${file('x')}--B--`],
    ['a long purpose', `${part('purpose', 'x'.repeat(2000))}${file('x')}--B--`],
    ['a time as one field', `${purpose}${part('expires_after', '604800')}${file('x')}--B--`],
    ['a time as an object', `${purpose}${part('expires_after', '{"anchor":"created_at","seconds":3600}')}${file('x')}--B--`],
    ['a time with dots', `${purpose}${part('expires_after.seconds', '3600')}${file('x')}--B--`],
    ['many fields', `${Array.from({ length: 40 }, (_, i) => part(`f${i}`, 'x')).join('')}${purpose}${file('x')}--B--`],
  ])('%s is refused, and leaves nothing', async (_, body, type) => {
    const response = await post(body, type)
    expect(await response.json()).toEqual({ error: expect.objectContaining({ type: 'invalid_request_error' }) })
    expect(response.status).toBe(400)
    expect(filesIn(folder)).toEqual([])
  })

  test.each([
    ['of .NET', '; filename="=?utf-8?B?Z3LDvMOfZS5qc29ubA==?="; filename*=utf-8\'\'gr%C3%BC%C3%9Fe.jsonl', 'grüße.jsonl'],
    ['with letters alone', "; filename*=UTF-8'de'gr%C3%BC%C3%9Fe.jsonl", 'grüße.jsonl'],
    ['that is malformed', '; filename="a.jsonl"; filename*=utf-8\'\'%ff', 'a.jsonl'],
  ])('an extended name %s', async (_, names, expected) => {
    const response = await post(`${purpose}${part('file', 'x', names)}--B--`)
    const { id, filename } = (await response.json()) as { id: string; filename: string }
    expect(filename).toBe(expected)
    await client().files.delete(id)
  })

  test('a name is a text, whatever it says, and the order of the fields is nothing', async () => {
    for (const name of ['../../../etc/passwd', '/etc/passwd', 'a\u0000b', '..', 'n'.repeat(2000), 'con%22x']) {
      const response = await post(`preamble\r\n${file('a\r\n--C\r\n\r\nb', name)}${part('unknown', 'x')}${purpose}--B--\r\nepilogue`)
      const { id, filename, bytes } = (await response.json()) as { id: string; filename: string; bytes: number }
      expect([filename, bytes]).toEqual([name.replace('%22', '"').slice(0, 255), 11])
      expect(await contentOf(client(), id)).toBe('a\r\n--C\r\n\r\nb')
      expect(filesIn(folder)).toEqual([`files/${id}`, `files/${id}.json`])
      await client().files.delete(id)
    }
  })

  test('the pieces in which a form comes change nothing', async () => {
    const whole = Buffer.from(`${file(`${'\r\n--A\r'.repeat(9)}\r\n`)}${purpose}--B--`)
    for (const size of [1, 2, 3, 7]) {
      const pieces = async function* () {
        for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size)
      }
      const response = await fetch(`${server.url}/v1/files`, {
        ...{ method: 'POST', body: Readable.toWeb(Readable.from(pieces())), duplex: 'half' },
        headers: { 'content-type': 'multipart/form-data; boundary="B"' },
      } as unknown as RequestInit)
      const { id } = (await response.json()) as { id: string }
      expect(await contentOf(client(), id)).toBe(`${'\r\n--A\r'.repeat(9)}\r\n`)
      await client().files.delete(id)
    }
  })
})

test('an id is never a path', async () => {
  for (const id of ['..', '..%2f..%2fserver', '%2e%2e%2ffile-x', `file-${'0'.repeat(32)}`, 'constructor', `file-${'0'.repeat(31)}%2f`]) {
    for (const end of ['', '/content']) {
      const response = await fetch(`${server.url}/v1/files/${id}${end}`)
      expect([response.status, id]).toEqual([404, id])
    }
  }
})

test('a file that is announced too large is refused before it comes', async () => {
  const status = await new Promise((resolve, reject) => {
    const headers = { 'content-type': 'multipart/form-data; boundary=B', 'content-length': limits.storedFile.most + 100_000 }
    const asked = httpRequest(`${server.url}/v1/files`, { method: 'POST', headers }, ({ statusCode }) => resolve(statusCode))
    asked.on('error', reject)
    asked.flushHeaders()
  })
  expect(status).toBe(413)
})

test('a client that leaves in the middle leaves nothing', async () => {
  const asked = httpRequest(`${server.url}/v1/files`, { method: 'POST', headers: { 'content-type': 'multipart/form-data; boundary=B' } })
  asked.on('error', () => {})
  asked.write(`--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n${'x'.repeat(300_000)}`)
  await until(() => filesIn(folder).some((name) => name.startsWith('uploads/')))
  asked.destroy()
  await until(() => filesIn(folder).length === 0)
})

test('a file that is deleted while it is read is read to its end', async () => {
  const text = 'x'.repeat(3_000_000)
  const { id } = await sent(client(), text)
  const response = await client().files.content(id)
  const reader = response.body!.getReader()
  let read = (await reader.read()).value!.length
  await client().files.delete(id)
  for (let next = await reader.read(); !next.done; next = await reader.read()) read += next.value.length
  expect(read).toBe(text.length)
})

test('a file that cannot be read to its end is cut, and never filled up', async () => {
  const { id } = await sent(client(), 'x'.repeat(3_000_000))
  const response = await client().files.content(id)
  const reader = response.body!.getReader()
  let read = (await reader.read()).value!
  truncateSync(path.join(folder, 'files', id), 2_999_990)
  const rest = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      expect(next.value.every((byte) => byte === 120)).toBe(true)
      read = next.value
    }
  }
  await expect(rest()).rejects.toThrow()
  expect(read.length).toBeGreaterThan(0)
  await until(() => logs.some(({ outcome, error }) => outcome === 'failed' && error === 'IO'))
  await client().files.delete(id)
})

test('who leaves while a file is read is noted as one, and nothing stays open', async () => {
  const { id } = await sent(client(), 'x'.repeat(30_000_000))
  const { body } = await client().files.content(id)
  const reader = body!.getReader()
  await reader.read()
  await reader.cancel()
  await until(() => logs.some(({ outcome, route }) => outcome === 'left' && route === '/v1/files/{id}/content'))
  const open = () => readdirSync('/proc/self/fd').filter((fd) => readlink(fd).includes(id))
  await until(() => process.platform !== 'linux' || open().length === 0)
  await client().files.delete(id)
})

test('a full disk is told as one', () => {
  const told = (code: string) => noRoom(ioError('write', '/secret/x', Object.assign(new Error(code), { code })))
  expect(told('ENOSPC')).toMatchObject({ status: 507, message: 'the disk of the server is full' })
  expect(told('EIO')).toMatchObject({ code: 'IO' })
})

test('files of one key are none for another', async () => {
  const own = storing.folder('keys')
  const keyed = await storing.start(own, { apiKeys: ['one', 'two'] })
  const [one, two] = [clientOf(keyed, 'one'), clientOf(keyed, 'two')]
  const file = await sent(one, 'x')
  expect((await one.files.list()).data).toEqual([file])
  expect((await two.files.list()).data).toEqual([])
  expect(await refusal(two.files.content(file.id))).toMatchObject({ status: 404 })
  expect(await refusal(two.files.delete(file.id))).toMatchObject({ status: 404 })
  const asked = two.batches.create({ input_file_id: file.id, endpoint: '/v1/completions', completion_window: '24h' })
  expect(await refusal(asked)).toMatchObject({ status: 404, param: 'input_file_id' })
  expect(await refusal(clientOf(keyed, 'three').files.list().then())).toMatchObject({ status: 401 })
  await keyed.close()
  const again = await storing.start(own, { apiKeys: ['two', 'one'] }) // in another order
  expect(await contentOf(clientOf(again, 'one'), file.id)).toBe('x')
  await again.close()
  const open = await storing.start(own)
  expect((await clientOf(open).files.list()).data).toEqual([])
})

test('the document of routes has those of files and batches, each with its method', async () => {
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as Json
  const found = Object.keys(paths).filter((path) => /files|batches/.test(path))
  expect(found.map((path) => `${path} ${Object.keys(paths[path])}`).sort()).toEqual([
    '/v1/batches post,get',
    '/v1/batches/{id} get',
    '/v1/batches/{id}/cancel post',
    '/v1/files post,get',
    '/v1/files/{id} get,delete',
    '/v1/files/{id}/content get',
  ])
  for (const path of found) for (const { summary } of Object.values<Json>(paths[path])) expect(summary).not.toBe(path)
  const { schema } = paths['/v1/files'].post.requestBody.content['multipart/form-data']
  expect([Object.keys(schema.properties), schema.required]).toEqual([
    ['file', 'purpose', 'expires_after[anchor]', 'expires_after[seconds]'],
    ['file', 'purpose'],
  ])
})

test('a folder has one server at a time', async () => {
  await expect(storing.start(folder)).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('expected a folder for each') })
})

test('without a folder, the routes say how to have them', async () => {
  const { createApp } = await import('../../../dist/server.js')
  const app = createApp(storing.model)
  for (const path of ['files', 'files/x/content', 'batches', 'batches/x/cancel']) {
    const response = await app.fetch(new Request(`http://localhost/v1/${path}`))
    expect([response.status, ((await response.json()) as { error: { message: string } }).error.message]).toEqual([
      501,
      expect.stringContaining('--files'),
    ])
  }
  await app.close()
})

test('a server whose folder cannot be used says so, and no path', async () => {
  const { createApp } = await import('../../../dist/server.js')
  const app = createApp(storing.model, { files: '/dev/null/x' })
  const response = await app.fetch(new Request('http://localhost/v1/files'))
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('/dev')
  await app.close()
})
