// The demo model behind a server on a free port, for the tests of a file; and a strict reader of what comes over the
// wire: bytes, not what a forgiving client makes of them.
//
// MIXTRAL_TEST_RUNTIME is the command of another runtime, as a list in JSON: then the servers run in it, and the model
// in this process is there for what is compared.

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { type RequestLog, type RunningServer, type ServeOptions, serve } from '../../../dist/server.js'

// biome-ignore lint/suspicious/noExplicitAny: the answer of a server is anything until a test has looked at it
export type Json = any
type LoadOptions = Parameters<typeof MixtralModel.load>[1]
type Status = ReturnType<MixtralModel['status']>

/** Where servers run. */
export const runtime: readonly string[] | undefined = process.env.MIXTRAL_TEST_RUNTIME && JSON.parse(process.env.MIXTRAL_TEST_RUNTIME)
export const inBun = runtime?.[0]?.endsWith('/bun') ?? false
export const inDeno = runtime?.[0]?.endsWith('/deno') ?? false

export interface Started extends RunningServer {
  readonly logs: RequestLog[]
}

export interface Served {
  /** The model of the server, or one with the same answers. */
  readonly model: MixtralModel
  readonly server: RunningServer
  readonly logs: RequestLog[]
  /** The status of the server's model. */
  status(): Promise<Status>
  /** Waits until nothing runs, and all pages are free but those of the prefix cache. */
  idle(): Promise<void>
  /** Holds the server's model, so that requests wait; returns what lets it go. */
  held(): Promise<() => Promise<unknown>>
  /** Another server for the same model. */
  start(options: ServeOptions): Promise<Started>
  /** Sends a body as JSON. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>
  /** The answer, which must have the status 200. */
  json(path: string, body: unknown): Promise<Json>
}

/** Starts the server before the tests, and ends it after them. */
export function withServer(options: ServeOptions = {}, load: LoadOptions = {}): Served {
  const served = { logs: [] as RequestLog[] } as { -readonly [Name in keyof Served]: Served[Name] }
  let remote: Remote | undefined
  const others: Started[] = []
  beforeAll(async () => {
    const all = { threads: 1, sequences: 4, kvTokens: 2048, ...load }
    served.model = await MixtralModel.load('demo', all)
    if (runtime) {
      remote = new Remote(runtime)
      await remote.call('load', all)
    }
    const first = await served.start({ name: 'demo', ...options })
    served.server = first
    served.logs = first.logs
  })
  afterAll(async () => {
    await Promise.all(others.map((server) => server.close()))
    await served.model.close()
    await remote?.end()
  })
  served.status = async () => (remote ? remote.call('status') : served.model.status())
  served.idle = () =>
    until(async () => {
      const { running, waiting, suspended, kvFree, kvTokens } = await served.status()
      return running + waiting + suspended === 0 && kvFree === kvTokens
    })
  served.held = async () => {
    if (remote) {
      await remote.call('hold')
      return () => remote!.call('release')
    }
    const tensors = served.model.traceEach([1, 2, 3], { hold: true })
    await tensors.next()
    return () => tensors.return(undefined)
  }
  served.start = async (more) => {
    const logs: RequestLog[] = []
    const server = remote
      ? await remote.serve({ port: 0, ...more }, logs)
      : { ...(await serve(served.model, { port: 0, log: (entry) => logs.push(entry), ...more })), logs }
    others.push(server)
    return server
  }
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

/** Servers in a process of another runtime. */
class Remote {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (message: Json) => void>()
  readonly #logs: RequestLog[][] = []
  readonly #ended: Promise<unknown>
  #calls = 0

  constructor([program, ...args]: readonly string[]) {
    const file = fileURLToPath(new URL('runtimeServer.mjs', import.meta.url))
    this.#child = spawn(program!, [...args, file], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#ended = new Promise((resolve) => this.#child.on('close', resolve))
    this.#child.on('close', (code) => {
      for (const tell of this.#waiting.values()) tell({ error: `the runtime has ended with ${code}` })
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const message = JSON.parse(line)
      if (message.fault) throw new Error(`in the server: ${message.fault}`)
      if (message.entry) this.#logs[message.key]!.push(message.entry)
      else this.#waiting.get(message.id)!(message)
    })
  }

  async call(name: string, ...args: unknown[]): Promise<Json> {
    const id = this.#calls++
    const { result, error, code } = await new Promise<Json>((resolve) => {
      this.#waiting.set(id, resolve)
      this.#child.stdin!.write(`${JSON.stringify({ id, call: name, args })}\n`)
    })
    this.#waiting.delete(id)
    if (error) throw Object.assign(new Error(error), { code })
    return result
  }

  async serve(options: ServeOptions, logs: RequestLog[]): Promise<Started> {
    const key = this.#logs.push(logs) - 1
    const { url, port } = await this.call('serve', key, options)
    let closing: Promise<void> | undefined
    return {
      ...{ url, port, logs },
      close: () => {
        closing ??= this.call('close', key)
        return closing
      },
    }
  }

  async end(): Promise<void> {
    this.#child.stdin!.end()
    await this.#ended
  }
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
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
}

export const capital = [{ role: 'user', content: 'What is the capital of France?' }]
/** A prompt that the demo model continues until the context is full. */
export const endless = 'KING RICHARD III:\n'
