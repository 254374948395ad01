// The routes of files and batches: who asks, what of it is theirs, and the form of answers. A file or a batch of
// another key is none. Owns what is said where the server keeps no files.

import type { Context } from 'hono'
import { z } from 'zod'
import { MixtralError } from '../../base/errors.js'
import { ApiError } from '../server/apiError.js'
import type { Added, AppParts, Env } from '../server/moreRoutes.js'
import type { Operation } from '../server/openapi/operations.js'
import { readBody } from '../server/security/body.js'
import { type BatchRecord, createFields } from './batchRecord.js'
import { contentResponse } from './fileContent.js'
import { type FileRecord, noRoom } from './fileStore.js'
import { pageOf } from './listPage.js'
import { Stores } from './stores.js'
import { takeUpload } from './uploads.js'

const FILE_PAGE = { usual: 10_000, most: 10_000 } as const
const BATCH_PAGE = { usual: 20, most: 100 } as const

const uploadForm = z.object({
  file: z.string().meta({ format: 'binary' }),
  purpose: z.literal('batch'),
  'expires_after[anchor]': z.literal('created_at').optional(),
  'expires_after[seconds]': z.int().optional(),
})

const PAGING = ['after', 'limit', 'order']
const operations: Readonly<Record<string, Operation>> = {
  'POST /v1/files': { summary: 'Takes a file of requests', body: uploadForm, type: 'multipart/form-data', isAnswer: false },
  'GET /v1/files': { summary: 'The files of the caller', query: [...PAGING, 'purpose'] },
  'GET /v1/files/:id': { summary: 'One file' },
  'DELETE /v1/files/:id': { summary: 'Deletes a file' },
  '/v1/files/:id/content': { summary: 'The bytes of a file', answer: 'application/octet-stream' },
  'POST /v1/batches': { summary: 'Answers the requests of a file beside all else', body: createFields, isAnswer: false },
  'GET /v1/batches': { summary: 'The batches of the caller', query: PAGING },
  '/v1/batches/:id': { summary: 'One batch' },
  '/v1/batches/:id/cancel': { summary: 'Ends a batch with the results that it has' },
}

/** A request, and what it is about. */
type Asked = Pick<Stores, 'files' | 'batches'> & { readonly owner: string; readonly id: string }

export interface AddedFiles extends Added {
  /** Rejects with why the folder cannot be used: routes say it, too. */
  readonly opened: Promise<unknown>
}

export function addFileRoutes(parts: AppParts): AddedFiles {
  const { app, keys, settings, admission } = parts
  if (settings.files === undefined) {
    for (const path of ['/v1/files/*', '/v1/batches/*']) {
      app.all(path, () => {
        throw new ApiError(501, 'files and batches are not kept: the server was started without a folder for them (--files)')
      })
    }
    return { operations: {}, opened: Promise.resolve(), stop: async () => {}, close: async () => {} }
  }
  const opened = Stores.open(settings.files, parts)
  opened.catch(() => {}) // told where somebody waits for it
  const bodyLimits = { bodyBytes: settings.bodyBytes, bodySeconds: Math.min(settings.bodySeconds, settings.timeoutSeconds ?? Infinity) }

  /** A route whose answer needs the folder. Changes are refused while the server ends. */
  const on = (method: 'get' | 'post' | 'delete', path: string, answer: (c: Context<Env>, asked: Asked) => Promise<object> | object) => {
    app[method](path, async (c) => {
      if (method !== 'get') admission.checkOpen()
      const { files, batches } = await opened.catch(refused)
      const asked = { files, batches, owner: keys.ownerOf(c.req.raw.headers), id: c.req.param('id') ?? '' }
      try {
        const result = await answer(c, asked)
        return result instanceof Response ? result : c.json(result)
      } catch (error) {
        throw noRoom(error)
      }
    })
  }
  const fileOf = ({ files, owner, id }: Asked) => files.find(id, owner) ?? missing('file', id)
  const batchOf = ({ batches, owner, id }: Asked) => {
    const record = batches.records.get(id)
    return record?.owner === owner ? record : missing('batch', id)
  }

  on('post', '/v1/files', async (c, { files, owner }) => {
    const { signal } = c.get('exchange')
    return fileObject(await takeUpload(c.req.raw, files, { owner, signal, bodySeconds: bodyLimits.bodySeconds }))
  })
  on('get', '/v1/files', (c, { files, owner }) => {
    const purpose = c.req.query('purpose')
    const isShown = ({ id, purpose: own }: FileRecord) => files.find(id, owner) !== undefined && (purpose === undefined || own === purpose)
    return pageOf(files.records, isShown, c.req.query(), FILE_PAGE, fileObject)
  })
  on('get', '/v1/files/:id', (_, asked) => fileObject(fileOf(asked)))
  on('get', '/v1/files/:id/content', async (c, asked) => {
    const file = fileOf(asked)
    if (c.req.raw.method === 'HEAD') return new Response(null, { headers: { 'content-length': String(file.bytes) } })
    return contentResponse(await asked.files.read(file), file, c.get('exchange'), settings.stallSeconds)
  })
  on('delete', '/v1/files/:id', async (_, asked) => {
    const { id } = fileOf(asked)
    await asked.files.remove(id)
    return { id, object: 'file', deleted: true }
  })
  on('post', '/v1/batches', async (c, { batches, owner }) => (await batches.create(await readBody(c.req.raw, bodyLimits), owner)).batch)
  on('get', '/v1/batches', (c, { batches, owner }) => {
    return pageOf(
      batches.records,
      (record: BatchRecord) => record.owner === owner,
      c.req.query(),
      BATCH_PAGE,
      ({ batch }) => batch,
    )
  })
  on('get', '/v1/batches/:id', (_, asked) => batchOf(asked).batch)
  on('post', '/v1/batches/:id/cancel', async (_, asked) => (await asked.batches.cancel(batchOf(asked))).batch)

  return {
    operations,
    opened,
    stop: async () => (await opened.catch(() => undefined))?.stop(),
    close: async () => (await opened.catch(() => undefined))?.close(),
  }
}

function missing(what: string, id: string): never {
  throw new ApiError(404, `no such ${what}: ${JSON.stringify(id.slice(0, 100))}`, { param: 'id' })
}

/** The folder cannot be used: who has started the server knows why, and clients no path. */
function refused(error: unknown): never {
  const origin = error instanceof MixtralError ? error.code : 'internal'
  throw new ApiError(500, 'files and batches cannot be kept: the folder of the server cannot be used', { origin })
}

function fileObject({ id, filename, purpose, bytes, createdAt, expiresAt }: FileRecord): object {
  return { id, object: 'file', bytes, created_at: createdAt, expires_at: expiresAt, filename, purpose, status: 'processed' }
}
