// A plain address as a source: asks the server for the size of the file, or of each of its shards.

import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { shardPaths } from '../../format/gguf/shards.js'
import type { UrlName } from '../names/modelName.js'
import { isHidden, shownAddress, urlFile } from '../names/urlName.js'
import type { OwnStore } from '../stores/ownStore.js'
import { versionOf } from '../transfer/download.js'
import { ExchangeError, exchange } from '../transfer/exchange.js'
import { withPatience } from '../transfer/patience.js'
import type { RemoteModel, StoreFile } from './remoteModel.js'

/** Requests one byte of every file. Throws `IO` if one does not exist, or the server does not tell its size. */
export async function findUrlModel(name: UrlName, store: OwnStore, signal?: AbortSignal): Promise<RemoteModel> {
  const url = new URL(name.url)
  if (isHidden(url))
    throw new MixtralError('IO', `${name.url} is short for an address, expected the address itself: its query was not kept`)
  const folder = store.folderOf(name)
  const weights: StoreFile[] = []
  for (const file of shardPaths(urlFile(url))) {
    const address = new URL(url)
    address.pathname = address.pathname.replace(/[^/]*$/, encodeURIComponent(file))
    const { bytes, version } = await sizeOf(address.href, signal)
    const target = path.join(folder, file)
    weights.push({ address: address.href, name: shownAddress(address.href), bytes, version, answerVersion: version, target })
  }
  return { name, weights, extras: [] }
}

async function sizeOf(address: string, signal: AbortSignal | undefined): Promise<{ bytes: number; version: string | undefined }> {
  const ask = () =>
    exchange({ address, headers: { range: 'bytes=0-0' }, signal }, async (response) => {
      const length =
        response.status === 206 ? /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1] : response.headers.get('content-length')
      if (!length || !/^\d{1,15}$/.test(length)) throw new ExchangeError(`${new URL(address).host} does not say how large the file is`, {})
      return { bytes: Number(length), version: versionOf(response) }
    })
  try {
    return await withPatience(shownAddress(address), signal, ask)
  } catch (error) {
    if (error instanceof ExchangeError && error.status === 404)
      throw new MixtralError('IO', `there is no ${shownAddress(address)}`, { cause: error })
    throw error
  }
}
