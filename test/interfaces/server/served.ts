// The demo model behind a server on a free port, for the tests of a file; and a strict reader of what comes over the
// wire: bytes, not what a forgiving client makes of them.

import { afterAll, beforeAll } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { type RequestLog, type RunningServer, type ServeOptions, serve } from '../../../dist/server.js'

// biome-ignore lint/suspicious/noExplicitAny: the answer of a server is anything until a test has looked at it
export type Json = any

export interface Served {
  readonly model: MixtralModel
  readonly server: RunningServer
  readonly logs: RequestLog[]
  /** Sends a body as JSON. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>
  /** The answer, which must have the status 200. */
  json(path: string, body: unknown): Promise<Json>
}

/** Starts the server before the tests, and ends it after them. */
export function withServer(options: ServeOptions = {}, load: Parameters<typeof MixtralModel.load>[1] = {}): Served {
  const served = { logs: [] as RequestLog[] } as { -readonly [Name in keyof Served]: Served[Name] }
  beforeAll(async () => {
    served.model = await MixtralModel.load('demo', { threads: 1, sequences: 4, kvTokens: 2048, ...load })
    served.server = await serve(served.model, { port: 0, name: 'demo', log: (entry) => served.logs.push(entry), ...options })
  })
  afterAll(async () => {
    await served.server.close()
    await served.model.close()
  })
  served.post = (path, body, init = {}) =>
    fetch(served.server.url + path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...init })
  served.json = async (path, body) => {
    const response = await served.post(path, body)
    const text = await response.text()
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`)
    return JSON.parse(text)
  }
  return served
}

/** The data of every event of a stream; comments are left out. Throws for a byte that should not be there. */
export async function sseEvents(response: Response): Promise<Json[]> {
  if (response.headers.get('content-type') !== 'text/event-stream') throw new Error(`not a stream: ${await response.text()}`)
  const text = new TextDecoder('utf-8', { fatal: true }).decode(await response.arrayBuffer())
  if (!text.endsWith('\n\n')) throw new Error('the last event does not end')
  const events = text.slice(0, -2).split('\n\n')
  const data = events.filter((event) => event !== ':')
  if (data.at(-1) === 'data: [DONE]') data.pop()
  else if (!data.at(-1)!.startsWith('data: {"error":')) throw new Error('the stream has no end')
  return data.map((event) => {
    const [, json] = /^data: (\{[^\n]*\})$/.exec(event) ?? []
    if (json === undefined) throw new Error(`not an event: ${JSON.stringify(event)}`)
    return JSON.parse(json)
  })
}

/** The data of named events, each of which has its name as its type. Throws for a byte that should not be there. */
export async function namedEvents(response: Response): Promise<Json[]> {
  if (response.headers.get('content-type') !== 'text/event-stream') throw new Error(`not a stream: ${await response.text()}`)
  const text = new TextDecoder('utf-8', { fatal: true }).decode(await response.arrayBuffer())
  if (!text.endsWith('\n\n')) throw new Error('the last event does not end')
  const events = text.slice(0, -2).split('\n\n')
  return events
    .filter((event) => event !== ':')
    .map((event) => {
      const [, name, json] = /^event: ([\w.]+)\ndata: (\{[^\n]*\})$/.exec(event) ?? []
      const data = JSON.parse(json ?? `not an event: ${JSON.stringify(event)}`)
      if (data.type !== name) throw new Error(`an event ${name} of the type ${data.type}`)
      return data
    })
}

/** The objects of an NDJSON stream. Throws for a line that is none. */
export async function ndjson(response: Response): Promise<Json[]> {
  if (response.headers.get('content-type') !== 'application/x-ndjson') throw new Error(`not a stream: ${await response.text()}`)
  const text = new TextDecoder('utf-8', { fatal: true }).decode(await response.arrayBuffer())
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => {
      if (!line.startsWith('{')) throw new Error(`not a line: ${JSON.stringify(line)}`)
      return JSON.parse(line)
    })
}

/** Waits until something holds: no test asks how long that takes. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

export const capital = [{ role: 'user', content: 'What is the capital of France?' }]
/** A prompt that the demo model continues until the context is full. */
export const endless = 'KING RICHARD III:\n'
