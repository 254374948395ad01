// What a server keeps for its clients: uploads, the routes of files and batches, and the records that a server finds
// when it starts. Forms, requests and records are damaged; nothing is left of what is refused, and nothing is written
// or removed outside of the server's folder.

import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralModel } from '../../../dist/index.js'
import { ApiError } from '../../../dist/interfaces/server/apiError.js'
import { newBatch, readCreate } from '../../../dist/interfaces/service/batchRecord.js'
import { FileStore } from '../../../dist/interfaces/service/fileStore.js'
import { pageOf } from '../../../dist/interfaces/service/listPage.js'
import { Stores } from '../../../dist/interfaces/service/stores.js'
import { takeUpload } from '../../../dist/interfaces/service/uploads.js'
import { createApp } from '../../../dist/server.js'
import { mutateBytes, mutateJson, mutateJsonText, mutateText } from '../mutations.mjs'
import { checkAnswer, requestOf } from './requests.mjs'

const utf8 = new TextEncoder()
const decoded = (bytes) => new TextDecoder().decode(bytes)

export const contentType = 'multipart/form-data; boundary=----b0undary'
const part = (head, body) => `------b0undary\r\nContent-Disposition: form-data; ${head}\r\n\r\n${body}\r\n`
export const form =
  part('name="purpose"', 'batch') +
  part('name="expires_after[anchor]"', 'created_at') +
  part('name="expires_after[seconds]"', '3600') +
  part('name="file"; filename="a.jsonl"; filename*=utf-8\'\'%c3%a9.jsonl', '{"custom_id":"a"}\n{"b":1}\n') +
  '------b0undary--\r\n'
const formWords = ['\r\n', '\r\n\r\n', '------b0undary', '--', 'name="file"', 'filename=', '; ', '"', '\\"', '%22', "utf-8''", 'purpose']

const stores = new Map()
async function storeOf(folder) {
  if (stores.has(folder)) return stores.get(folder)
  for (const name of ['files', 'uploads']) await fs.mkdir(path.join(folder, name), { recursive: true })
  const store = await FileStore.open(path.join(folder, 'files'), path.join(folder, 'uploads'))
  stores.set(folder, store)
  return store
}

/** The first byte says how the body comes in pieces, the first line is its type. */
export const uploads = {
  name: 'uploads',
  share: 2,
  make(random) {
    const type = random.chance(0.2) ? mutateText(random, contentType, ['boundary=', ';', '"', 'multipart/'], 300) : contentType
    const body = random.chance(0.6) ? utf8.encode(mutateText(random, form, formWords)) : mutateBytes(random, utf8.encode(form))
    return Buffer.concat([Uint8Array.of(random.below(256)), utf8.encode(`${type.replaceAll('\n', ' ')}\n`), body])
  },
  async use(bytes, folder) {
    const store = await storeOf(folder)
    const end = bytes.indexOf(10)
    const request = uploadOf(decoded(bytes.subarray(1, end)), bytes.subarray(end + 1), bytes[0])
    if (!request) return
    let record
    try {
      record = await takeUpload(request, store, { owner: 'x', bodySeconds: 5, signal: new AbortController().signal })
    } catch (error) {
      if (!(error instanceof ApiError) || error.status >= 500) throw error
    }
    const left = await fs.readdir(path.join(folder, 'uploads'))
    if (left.length > 0) throw new Error(`${left.length} uploads are left behind`)
    if (!record) return
    const { size } = await fs.stat(store.pathOf(record.id))
    await store.remove(record.id)
    if (size !== record.bytes) throw new Error(`a file of ${size} bytes, its record says ${record.bytes}`)
  },
}

function uploadOf(type, body, pieces) {
  const piece = pieces < 128 ? body.length || 1 : 1 + (pieces % 16)
  let at = 0
  const pull = (controller) => {
    if (at >= body.length) return controller.close()
    controller.enqueue(body.slice(at, at + piece))
    at += piece
  }
  try {
    return new Request('http://localhost/v1/files', {
      method: 'POST',
      headers: { 'content-type': type },
      body: new ReadableStream({ pull }),
      duplex: 'half',
    })
  } catch {
    return undefined // no client could send it
  }
}

const create = {
  input_file_id: '{FILE}',
  endpoint: '/v1/completions',
  completion_window: '24h',
  metadata: { a: 'b' },
  output_expires_after: { anchor: 'created_at', seconds: 3600 },
}
const asked = [
  { path: '/v1/batches', body: create },
  { path: '/v1/batches', body: create },
  { path: '/v1/batches/{BATCH}/cancel', body: {} },
  ...['/v1/files/{FILE}', '/v1/files/{FILE}/content', '/v1/batches/{BATCH}'].map((path) => ({ path, method: 'GET' })),
  { path: '/v1/files?after={FILE}&limit=2&order=asc&purpose=batch', method: 'GET' },
  { path: '/v1/batches?after={BATCH}&limit=20&order=desc', method: 'GET' },
  { path: '/v1/files/{FILE}', method: 'DELETE' },
]
const pathWords = ['{FILE}', '{BATCH}', '/content', '/cancel', '..', '%2e%2e', '%00', '%2f', '?limit=', '&after=', '&order=asc', '/']

let server
async function served(folder) {
  if (server) return server
  const model = await MixtralModel.load('demo', { threads: 1, contextLength: 256, sequences: 2 })
  const app = createApp(model, { name: 'demo', files: path.join(folder, 'served'), log: () => {} })
  server = { app, model, file: '', batch: '' }
  return server
}

/** Files that may be deleted, and batches that may be cancelled, are there again with each request. */
async function refresh({ app, file, batch }) {
  const get = (path) => app.fetch(new Request(`http://localhost${path}`))
  if (!file || (await get(`/v1/files/${file}`)).status !== 200) {
    const line = { custom_id: 'a', method: 'POST', url: '/v1/completions', body: { prompt: 'a', max_tokens: 1 } }
    const body = new FormData()
    body.set('purpose', 'batch')
    body.set('file', new Blob([JSON.stringify(line)]), 'a.jsonl')
    server.file = (await (await app.fetch(new Request('http://localhost/v1/files', { method: 'POST', body }))).json()).id
  }
  if (batch && (await get(`/v1/batches/${batch}`)).status === 200) return
  const body = JSON.stringify(create).replace('{FILE}', server.file)
  server.batch = (await (await app.fetch(new Request('http://localhost/v1/batches', { method: 'POST', body }))).json()).id
}

/** The input is JSON, as that of `requests`; `{FILE}` and `{BATCH}` stand for ids of the server. */
export const services = {
  name: 'services',
  share: 0.2,
  threads: true,
  make(random) {
    const { path, method = 'POST', body } = random.pick(asked)
    const text = JSON.stringify(random.chance(0.9) ? mutateJson(random, body ?? {}) : body) ?? ''
    return utf8.encode(
      JSON.stringify({
        path: random.chance(0.5) ? mutateText(random, path, pathWords, 500) : path,
        method: random.chance(0.1) ? random.pick(['GET', 'PUT', 'DELETE', 'HEAD', 'POST']) : method,
        headers: { host: 'localhost' },
        body: random.chance(0.15) ? mutateText(random, text, ['{', '}', '[', '"', '\\u0000', '1e999'], 5000) : text,
      }),
    )
  },
  async use(bytes, folder) {
    const ids = await served(folder)
    await refresh(ids)
    const text = decoded(bytes).replaceAll('{FILE}', ids.file).replaceAll('{BATCH}', ids.batch)
    const request = requestOf(utf8.encode(text))
    if (request) await checkAnswer(request, await ids.app.fetch(request))
  },
  async close() {
    await server?.app.close()
    await server?.model.close()
    server = undefined
  },
}

const digits = '0'.repeat(31)
const [fileId, batchId] = [`file-${digits}1`, `batch_${digits}2`]
const kept = { owner: 'x', filename: 'a.jsonl', purpose: 'batch', bytes: 3, createdAt: 1, expiresAt: 99_999_999_999 }
const fileRecord = { id: fileId, ...kept }
const batchRecord = newBatch(batchId, 'x', 'a.jsonl', readCreate({ ...create, input_file_id: fileId }))
const ended = { ...batchRecord, outputs: { results: '../../outside', errors: `file-${digits}4` } }
export const records = [fileRecord, batchRecord, { ...ended, batch: { ...ended.batch, status: 'finalizing' } }]

/** The first byte says which record it is; a server starts on it, and ends. */
export const serviceRecords = {
  name: 'service-records',
  share: 0.5,
  make(random) {
    const which = random.below(records.length)
    return Buffer.concat([Uint8Array.of(which), utf8.encode(mutateJsonText(random, records[which]))])
  },
  async use(bytes, folder) {
    const own = path.join(folder, 'kept')
    const outside = path.join(folder, 'outside')
    await fs.rm(own, { recursive: true, force: true })
    for (const name of ['files', 'batches']) await fs.mkdir(path.join(own, name), { recursive: true })
    await fs.writeFile(outside, 'as it was')
    await fs.writeFile(path.join(own, 'files', fileId), '{}\n')
    const isFile = bytes[0] % records.length === 0
    await fs.writeFile(path.join(own, isFile ? `files/${fileId}.json` : `batches/${batchId}.json`), bytes.subarray(1))
    const host = { find: async () => undefined, loaded: () => [] }
    const stores = await Stores.open(own, { host, admission: { inside: 0, watch: () => {} }, needsModel: true })
    try {
      for (const list of [stores.files.records, stores.batches.records])
        pageOf(
          list,
          () => true,
          {},
          { usual: 20, most: 20 },
          (record) => record,
        )
      await new Promise((resolve) => setTimeout(resolve, 5))
    } finally {
      await stores.close()
    }
    if ((await fs.readFile(outside, 'utf8')) !== 'as it was') throw new Error('a file outside of the folder has changed')
  },
}
