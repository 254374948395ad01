// POST /api/pull and /api/copy, DELETE /api/delete: what clients may do to the store. Only to ours: models of other
// programs are theirs. Names are checked; nothing in a request becomes a path or an address of its own choice.

import { z } from 'zod'
import { onAbort } from '../../../base/onAbort.js'
import { modelNameText, type OllamaName, parseModelName, type RemoteName } from '../../../registry/names/modelName.js'
import { copyModel } from '../../../registry/stores/copyModel.js'
import { OwnStore } from '../../../registry/stores/ownStore.js'
import { storeFolders } from '../../../registry/stores/storeFolders.js'
import { livePull } from '../../../registry/stores/storeLock.js'
import { ApiError, badRequest, ollamaError } from '../apiError.js'
import type { CatalogHost } from '../models/catalogHost.js'
import type { FoundModel } from '../models/localOffers.js'
import type { FileProgress, Pulls } from '../models/pulls.js'
import { unknownModel } from '../models/visits.js'
import type { Exchange } from '../requestLog.js'
import { checked } from '../security/body.js'
import type { Settings } from '../settings.js'
import { drawnResponse } from '../streams/drawn.js'
import { lateAnswer } from '../streams/lateAnswer.js'
import { within } from '../streams/turn.js'

type Body = Record<string, unknown>

/** What work on the store needs of its server. */
export interface StoreWork {
  readonly catalog: CatalogHost
  readonly pulls: Pulls
  readonly exchange: Exchange
  readonly settings: Settings
}

/** Registries that everybody may pull from who may pull. */
const REGISTRIES = ['registry.ollama.ai', 'hf.co', 'huggingface.co']

const named = z.object({ model: z.string().nullish(), name: z.string().nullish() })
const pullFields = z.object({ ...named.shape, stream: z.boolean().nullish(), insecure: z.boolean().nullish() })
const copyFields = z.object({ source: z.string().nullish(), destination: z.string().nullish() })

/** Throws an ApiError. */
export async function pullModels(body: Body, { catalog, pulls, exchange, settings }: StoreWork): Promise<object> {
  checkAllowed(settings)
  const { model, name: other, stream, insecure } = checked(pullFields, body)
  if (insecure) throw badRequest('insecure is not supported: models come through TLS', 'insecure')
  const name = remoteName(model || other, settings.allowedRegistries)
  catalog.checkOffers(modelNameText(name))
  const { signal } = exchange
  const progress = pulls.follow(name, signal)
  onAbort(signal, () => void progress.return().catch(() => {})) // one that waits for its reader hears nothing of the signal
  const done = () => {
    catalog.changed()
    exchange.note({ outcome: 'done' })
  }
  if (stream === false) return wholePull(progress, done, exchange, settings)
  let last = line({ status: 'pulling manifest' })
  let coming: Promise<IteratorResult<FileProgress, void>> | undefined
  let isOver = false
  const next = async () => {
    if (isOver) return undefined
    coming ??= progress.next()
    const result = await within(coming, settings.pingSeconds).catch((error) => {
      isOver = true
      throw error
    })
    if (result === undefined) return last // a sign of life
    coming = undefined
    if (!result.done) {
      last = fileLine(result.value)
      return last
    }
    isOver = true
    done()
    return ['verifying sha256 digest', 'writing manifest', 'success'].map((status) => line({ status })).join('')
  }
  const error = (told: ApiError) => line(ollamaError(told))
  return drawnResponse({ contentType: 'application/x-ndjson', begin: last, next, error }, exchange, settings.stallSeconds)
}

async function wholePull(progress: AsyncGenerator<FileProgress, void>, done: () => void, exchange: Exchange, settings: Settings) {
  const work = async () => {
    for await (const _ of progress);
    done()
    return { status: 'success' }
  }
  const coming = work()
  const error = (told: ApiError) => JSON.stringify(ollamaError(told))
  const form = { contentType: 'application/json', ping: () => ' ', error }
  return (await within(coming, settings.pingSeconds)) ?? lateAnswer(coming, form, exchange, settings)
}

/** Throws an ApiError. */
export async function deleteModel(body: Body, { catalog, exchange, settings }: StoreWork): Promise<Response> {
  checkAllowed(settings)
  const { model, name } = checked(named, body)
  const asked = required(model || name, 'model')
  const found = await ownModel(asked, catalog, 'delete')
  const store = new OwnStore(storeFolders().own)
  if ((await livePull(store.root)) !== undefined) throw new ApiError(409, 'a model is being pulled: delete when that has ended')
  await catalog.without(asked, exchange.signal, async () => {
    await store.remove(parseModelName(found.local.name) as RemoteName)
  })
  return new Response(null)
}

/** Throws an ApiError. */
export async function copyModels(body: Body, { catalog, exchange, settings }: StoreWork): Promise<Response> {
  checkAllowed(settings)
  const { source, destination } = checked(copyFields, body)
  const found = await ownModel(required(source, 'source'), catalog, 'copy')
  const from = parseModelName(found.local.name)
  const to = ollamaName(required(destination, 'destination'))
  if (from.kind !== 'ollama') throw badRequest(`${found.name}: only models of Ollama's registry can have a second name`, 'source')
  checkFolderNames(to)
  catalog.checkOffers(modelNameText(to))
  const { signal } = exchange
  await catalog.without(modelNameText(to), signal, () => copyModel(new OwnStore(storeFolders().own), from, to, signal))
  return new Response(null)
}

/** Throws an ApiError 400 for a name that no folder can have in Windows. */
function checkFolderNames(name: OllamaName): void {
  const device = modelNameText(name)
    .split(/[/:]/)
    .find((part) => /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(part))
  if (device !== undefined) throw badRequest(`${device} is the name of a device in Windows, expected another name`, 'destination')
}

function checkAllowed({ allowPull }: Settings): void {
  if (allowPull) return
  throw new ApiError(403, 'models are not pulled, copied or deleted here: the server was started without --allow-pull')
}

/** Throws an ApiError 400 for what is no name of a model at a registry, 403 for a registry that is not allowed. */
function remoteName(text: string | null | undefined, registries: readonly string[]): RemoteName {
  const asked = required(text, 'model')
  const name = nameOf(asked)
  if (name?.kind !== 'ollama' && name?.kind !== 'huggingface') throw noName(asked, 'model')
  if (name.kind === 'ollama' && ![...REGISTRIES, ...registries].includes(name.host.toLowerCase())) {
    throw new ApiError(403, `models are not pulled from ${name.host} here: the server was started without --allow-registry ${name.host}`)
  }
  return name
}

function ollamaName(text: string): OllamaName {
  const name = nameOf(text)
  if (name?.kind !== 'ollama') throw noName(text, 'destination')
  return name
}

function nameOf(text: string) {
  try {
    return parseModelName(text)
  } catch {
    return undefined
  }
}

/** A model of our own store. */
async function ownModel(asked: string, catalog: CatalogHost, doing: string): Promise<FoundModel> {
  const found = await catalog.locate(asked)
  if (!found) throw unknownModel('/api/', asked)
  const { store } = found.local
  if (store === 'mixtral') return found
  const place = store === 'ollama' ? "in Ollama's store" : store === 'huggingface' ? 'in the cache of Hugging Face' : 'in no store'
  throw new ApiError(403, `${found.name} is ${place}: this server cannot ${doing} it`)
}

function required(text: string | null | undefined, param: string): string {
  if (text) return text
  throw badRequest(`${param} is required`, param)
}

function noName(text: string, param: string): ApiError {
  return badRequest(`${JSON.stringify(text.slice(0, 100))} is no model name, expected [namespace/]model[:tag]`, param)
}

function fileLine({ name, loaded, total, sha256 }: FileProgress): string {
  const digest = sha256 === undefined ? {} : { digest: `sha256:${sha256}` }
  const what = sha256?.slice(0, 12) ?? name
  return line({ status: `pulling ${what}`, ...digest, total, ...(loaded > 0 && { completed: loaded }) })
}

function line(fields: object): string {
  return `${JSON.stringify(fields)}\n`
}
