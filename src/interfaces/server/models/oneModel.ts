// The host of a server with one model, which is the caller's and stays loaded. A request need not name it.

import { stat } from 'node:fs/promises'
import { fingerprint } from '../../../runtime/weights/fingerprint.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { isCalled, servedModel } from '../servedModel.js'
import type { Settings } from '../settings.js'
import { type FileFacts, type LoadedModel, type ModelHost, modelSummary, type OfferedModel } from './modelHost.js'

export function oneModel(model: MixtralModel, settings: Settings): ModelHost {
  const served = servedModel(model, settings)
  const { name, aliases, bytes, created } = served
  served.mark().catch(() => {}) // the files as they are now, not as they may be later; who asks hears of it
  const { gguf, layers, config, contextLength } = model
  let facts: Promise<FileFacts> | undefined
  const offered: OfferedModel = {
    ...{ name, aliases, bytes, created, contextLength, summary: modelSummary(gguf, config) },
    fileFacts: () => (facts ??= fileFacts(model)),
    header: async () => ({ gguf, layers }),
  }
  const loaded: LoadedModel = { offered, served, ends: Number.POSITIVE_INFINITY }
  const lease = { value: served, release() {} }
  return {
    sequences: model.status().sequences,
    list: async () => [offered],
    find: async (asked) => (isCalled(served, asked) ? offered : undefined),
    has: async (asked) => isCalled(served, asked),
    loaded: () => [loaded],
    take: (asked) => (asked === undefined || isCalled(served, asked) ? lease : undefined),
    borrow: async () => undefined,
    unload: async (asked) => (isCalled(served, asked) ? 'stays' : undefined),
    status: () => model.status(),
  }
}

async function fileFacts({ gguf }: MixtralModel): Promise<FileFacts> {
  const [digest, { mtime }] = await Promise.all([fingerprint(gguf), stat(gguf.files[0]!.path)])
  return { digest, modified: mtime.toISOString() }
}
