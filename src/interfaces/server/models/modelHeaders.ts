// What the headers of models say, read once for each version of a file.

import { stat } from 'node:fs/promises'
import { MixtralError } from '../../../base/errors.js'
import { openGguf } from '../../../format/gguf/openGguf.js'
import { pulledDigest } from '../../../registry/stores/localModels.js'
import { fingerprint } from '../../../runtime/weights/fingerprint.js'
import { MixtralConfig } from '../../../runtime/weights/mixtralConfig.js'
import { mixtralTensors } from '../../../runtime/weights/mixtralTensors.js'
import type { FoundModel } from './localOffers.js'
import { type FileFacts, type ModelSummary, modelSummary, type OfferedModel } from './modelHost.js'

interface Known {
  /** Undefined for what cannot run on any machine. */
  readonly summary: ModelSummary | undefined
  readonly created: number
  facts: Promise<FileFacts> | undefined
}

/** More than this are forgotten: they are read again when they are asked for. */
const MOST_KNOWN = 1000

export class ModelHeaders {
  readonly #known = new Map<string, Promise<Known>>()

  /** A model as lists have it; undefined for one that cannot run, such as one of another architecture. */
  async offered({ name, local, key }: FoundModel, contextLength?: number): Promise<OfferedModel | undefined> {
    const known = await this.#look(key, local.path)
    const { summary, created } = known
    if (!summary) return undefined
    return {
      ...{ name, aliases: [], bytes: local.bytes, created, contextLength, summary },
      fileFacts: () => (known.facts ??= fileFacts(local.path, created)),
      header: async () => ({ gguf: await openGguf(local.path), layers: local.layers }),
    }
  }

  async #look(key: string, file: string): Promise<Known> {
    const known = this.#known.get(key)
    if (known) return known
    if (this.#known.size >= MOST_KNOWN) this.#known.clear()
    const read = readHeader(file)
    this.#known.set(key, read)
    read.catch(() => this.#known.delete(key))
    return read
  }
}

async function readHeader(file: string): Promise<Known> {
  const { mtimeMs } = await stat(file)
  return { summary: await summaryOf(file), created: Math.floor(mtimeMs / 1000), facts: undefined }
}

async function summaryOf(file: string): Promise<ModelSummary | undefined> {
  try {
    const gguf = await openGguf(file)
    const config = MixtralConfig.fromGgufMetadata(gguf.metadata)
    mixtralTensors(config, gguf)
    return modelSummary(gguf, config)
  } catch (error) {
    if (error instanceof MixtralError && error.code !== 'IO') return undefined
    throw error
  }
}

async function fileFacts(file: string, created: number): Promise<FileFacts> {
  const digest = (await pulledDigest(file)) ?? (await fingerprint(await openGguf(file)))
  return { digest, modified: new Date(created * 1000).toISOString() }
}
