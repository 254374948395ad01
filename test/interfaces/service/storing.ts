// Servers that keep files in a folder, which goes with the test, and what tests ask them through OpenAI's own client.

import { readdirSync } from 'node:fs'
import path from 'node:path'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { type ModelCatalog, type RunningServer, type ServeOptions, serve } from '../../../dist/server.js'
import { type Line, testFolder } from '../batch/batchFiles.js'
import { until } from '../server/served.js'

export interface Storing {
  readonly model: MixtralModel
  /** A folder of the test. */
  folder(name: string): string
  /** A server for the model, or for a catalog, which keeps its files in a folder. */
  start(folder: string, options?: ServeOptions, models?: ModelCatalog): Promise<RunningServer>
}

export function withStores(load: Parameters<typeof MixtralModel.load>[1] = {}): Storing {
  const folder = testFolder()
  const storing = { folder } as { -readonly [Name in keyof Storing]: Storing[Name] }
  const servers: RunningServer[] = []
  beforeAll(async () => {
    storing.model = await MixtralModel.load('demo', { threads: 1, sequences: 4, ...load })
  })
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.close()))
    await storing.model.close()
  })
  storing.start = async (files, options = {}, models) => {
    const server = await serve(models ?? storing.model, { port: 0, ...(!models && { name: 'demo' }), files, graceSeconds: 1, ...options })
    servers.push(server)
    return server
  }
  return storing
}

export const clientOf = ({ url }: Pick<RunningServer, 'url'>, apiKey = 'none') =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 })

/** The text of a file of requests. */
export const textOf = (lines: readonly Line[]) =>
  lines.map(({ url, body, id }, i) => `${JSON.stringify({ custom_id: id ?? `r${i}`, method: 'POST', url, body })}\n`).join('')

export async function sent(client: OpenAI, text: string, name = 'in.jsonl') {
  return client.files.create({ file: await toFile(Buffer.from(text), name), purpose: 'batch' })
}

/** A batch of a text of requests. */
export async function begun(client: OpenAI, text: string, endpoint: '/v1/chat/completions' | '/v1/completions' | '/v1/embeddings') {
  const { id } = await sent(client, text)
  return client.batches.create({ input_file_id: id, endpoint, completion_window: '24h' })
}

export type Batch = Awaited<ReturnType<typeof begun>>

const OVER = ['completed', 'failed', 'expired', 'cancelled']

/** The batch when it has ended. */
export async function ended(client: OpenAI, id: string): Promise<Batch> {
  let batch = await client.batches.retrieve(id)
  await until(async () => {
    batch = await client.batches.retrieve(id)
    return OVER.includes(batch.status)
  })
  return batch
}

export async function contentOf(client: OpenAI, id: string | null | undefined): Promise<string> {
  return id ? (await client.files.content(id)).text() : ''
}

// biome-ignore lint/suspicious/noExplicitAny: lines of any form
export const parsedLines = (text: string): any[] => text.split('\n').slice(0, -1).map((line) => JSON.parse(line)) // biome-ignore format: one line

/** Names of all files in a folder, those in folders below it too, without the server's lock. */
export function filesIn(folder: string): string[] {
  const all = readdirSync(folder, { recursive: true, withFileTypes: true })
  return all
    .filter((entry) => entry.isFile() && !entry.name.includes('~lock.'))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort()
}
