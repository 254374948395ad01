// POST /v1/files: a form becomes a file on disk, piece by piece, whatever the order of its fields. A form that is
// refused leaves nothing. Its body is read to its end in any case, as far as a file may go: a client that is still
// sending would see a broken connection in place of the answer.

import { limits } from '../../base/limits.js'
import { unless } from '../../base/onAbort.js'
import { ApiError, badRequest } from '../server/apiError.js'
import { type BodyLimits, chunksOf } from '../server/security/body.js'
import { type FileRecord, type FileStore, KEPT_SECONDS, type Upload } from './fileStore.js'
import { boundaryOf, partsOf } from './multipart.js'

/** Purposes that OpenAI knows: nothing here reads files of another. */
const OTHERS = ['assistants', 'fine-tune', 'vision', 'user_data', 'evals']
/** Bytes of a field that is no file, and of what is around the file. */
const FIELD_BYTES = 1024
const FORM_BYTES = 65_536
const MOST_PARTS = 32
const NAME_CHARACTERS = 255

const EXPIRES_AFTER = ['expires_after[anchor]', 'expires_after[seconds]']

/** Seconds that OpenAI lets files be kept. */
export const KEPT = { least: 3600, most: 2_592_000 } as const

interface Taking extends Pick<BodyLimits, 'bodySeconds'> {
  readonly owner: string
  readonly signal: AbortSignal
}

/** Throws an ApiError for what is wrong with the form; `IO` and `ABORTED`. */
export async function takeUpload(request: Request, store: FileStore, { owner, bodySeconds, signal }: Taking): Promise<FileRecord> {
  if ((request.headers.get('content-encoding') ?? 'identity') !== 'identity')
    throw new ApiError(415, 'the upload is compressed, expected a plain form')
  const boundary = boundaryOf(request.headers.get('content-type') ?? undefined)
  const most = limits.storedFile.most + FORM_BYTES
  const tooLarge = new ApiError(413, `the upload is too large, expected a file of at most ${limits.storedFile.most} bytes`)
  if (Number(request.headers.get('content-length') ?? 0) > most) throw tooLarge
  const body = chunksOf(request, bodySeconds)
  let read = 0
  const next = async () => {
    const { value } = await unless(signal, body.next())
    read += value?.length ?? 0
    if (read > most) throw tooLarge
    return value ?? undefined
  }
  const form = new Form(store)
  try {
    for await (const part of partsOf(next, boundary)) await form.take(part)
    while (await next()); // what is behind the last delimiter
    return await form.publish(owner)
  } catch (error) {
    if (error instanceof ApiError && error.status < 500 && error !== tooLarge) while (await next().catch(() => undefined));
    throw error
  } finally {
    await form.close()
    body.return(undefined).catch(() => {}) // it may wait for a piece still
  }
}

class Form {
  readonly #store: FileStore
  readonly #fields = new Map<string, string>()
  #upload: Upload | undefined
  #filename = ''
  /** The field whose bytes come. */
  #field = ''
  #parts = 0

  constructor(store: FileStore) {
    this.#store = store
  }

  /** A head, or bytes of the last one. Throws an ApiError. */
  async take(part: { readonly name: string; readonly filename: string | undefined } | Uint8Array): Promise<void> {
    if (part instanceof Uint8Array) {
      if (this.#field === 'file') return this.#upload!.write(part)
      const text = this.#fields.get(this.#field)! + Buffer.from(part).toString('latin1')
      if (text.length > FIELD_BYTES) throw badRequest(`a field has more than ${FIELD_BYTES} bytes, expected a short text`)
      this.#fields.set(this.#field, text)
      return
    }
    const { name, filename } = part
    if (++this.#parts > MOST_PARTS) throw badRequest(`the form has more than ${MOST_PARTS} fields`)
    // left out, a file would be kept longer than its sender knows
    const isMisspelled = name.startsWith('expires_after') && !EXPIRES_AFTER.includes(name)
    if (isMisspelled) throw badRequest(`${name.slice(0, 100)}: expected ${EXPIRES_AFTER.join(' and ')}`, 'expires_after')
    if (name === 'file' ? this.#upload : this.#fields.has(name)) throw badRequest('a field is there twice', name.slice(0, 100))
    this.#field = name
    if (name !== 'file') this.#fields.set(name, '')
    else {
      if (!filename) throw badRequest('file: expected a file with a name', 'file')
      this.#filename = filename.slice(0, NAME_CHARACTERS).toWellFormed() // a character of two may have been cut
      this.#upload = await this.#store.upload()
    }
  }

  /** Throws an ApiError 400 for a field that is missing or wrong. */
  async publish(owner: string): Promise<FileRecord> {
    const purpose = this.#fields.get('purpose')
    if (purpose === undefined) throw badRequest('purpose is missing, expected batch', 'purpose')
    if (OTHERS.includes(purpose))
      throw badRequest(`purpose ${purpose} is not supported: files here are for batches, expected batch`, 'purpose')
    if (purpose !== 'batch') throw badRequest('purpose: expected batch', 'purpose')
    const seconds = this.#seconds()
    if (!this.#upload) throw badRequest('file is missing', 'file')
    return this.#upload.publish({ owner, filename: this.#filename, purpose, seconds })
  }

  async close(): Promise<void> {
    await this.#upload?.close()
  }

  #seconds(): number {
    const [anchor, seconds] = EXPIRES_AFTER.map((name) => this.#fields.get(name))
    if (anchor === undefined && seconds === undefined) return KEPT_SECONDS
    if (anchor !== 'created_at') throw badRequest('expires_after[anchor]: expected created_at', 'expires_after')
    const { least, most } = KEPT
    const isRight = /^\d{1,9}$/.test(seconds ?? '') && Number(seconds) >= least && Number(seconds) <= most
    if (!isRight) throw badRequest(`expires_after[seconds]: expected a whole number from ${least} to ${most}`, 'expires_after')
    return Number(seconds)
  }
}
