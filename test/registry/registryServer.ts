// A registry and its blob server, over real HTTP on loopback, with faults to order: Ollama's manifests and blobs (307
// to another port), Hugging Face's API and files, and plain files. Not a test.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OllamaModel } from './ollamaModel.js'

/** What goes wrong with one answer of the blob server. */
export interface Fault {
  /** An answer without a body. */
  readonly status?: number
  readonly headers?: Record<string, string>
  /** The number of bytes of the body after which the connection breaks. */
  readonly cutAfter?: number
  /** The number of bytes of the body after which nothing more is sent. */
  readonly stallAfter?: number
  /** The whole file, whatever range was asked for. */
  readonly ignoreRange?: boolean
  /** The answer has only this many bytes of the range, and its headers say so. */
  readonly shortTo?: number
  /** The range begins this many bytes later than asked. */
  readonly shift?: number
  /** The bytes are not those of the file. */
  readonly corrupt?: boolean
  /** The answer has this many bytes more than the range, and its headers say so. */
  readonly longBy?: number
  /** A total size that is not the file's, or `*`. */
  readonly total?: number | '*'
}

export interface Seen {
  readonly path: string
  readonly range: string | undefined
  readonly authorization: string | undefined
  readonly server: 'registry' | 'blobs'
}

export interface Settings {
  /** Called for each request for a file; the n-th, from 0. */
  fault?: (n: number, request: Seen) => Fault | undefined
  /** The token that the registry wants; its address gives it out. */
  token?: string
  /** Answers have neither ETag nor Last-Modified. */
  unversioned?: boolean
  /** How many requests for the token get no answer. */
  silentTokens?: number
  /** Bytes sent at once, with a millisecond between. */
  trickle?: number
}

export class RegistryServer {
  readonly settings: Settings = {}
  readonly seen: Seen[] = []
  /** Files by path, such as `/a.gguf`. */
  readonly files = new Map<string, Uint8Array>()
  /** Answers of the registry by path: manifests, and Hugging Face's API. */
  readonly answers = new Map<string, string>()
  /** Bytes of files sent. */
  sent = 0
  #registry!: Server
  #blobs!: Server
  #requests = 0

  async listen(): Promise<void> {
    this.#registry = await listen((request, response) => this.#answerRegistry(request, response))
    this.#blobs = await listen((request, response) => this.#answerBlob(request, response))
  }

  /** The registry's address and port, such as `127.0.0.1:4711`. */
  get host(): string {
    return `127.0.0.1:${(this.#registry.address() as AddressInfo).port}`
  }

  get blobHost(): string {
    return `127.0.0.1:${(this.#blobs.address() as AddressInfo).port}`
  }

  /** Adds an Ollama model and returns its name. */
  addOllama(model: OllamaModel, name = 'user/mixtral', tag = 'latest'): string {
    this.answers.set(`/v2/${name}/manifests/${tag}`, model.manifest)
    for (const [digest, blob] of model.blobs) this.files.set(`/v2/${name}/blobs/${digest}`, blob)
    return `${this.host}/${name}:${tag}`
  }

  reset(): void {
    for (const key of Object.keys(this.settings) as (keyof Settings)[]) delete this.settings[key]
    this.seen.length = 0
    this.files.clear()
    this.answers.clear()
    this.sent = 0
    this.#requests = 0
  }

  async stop(): Promise<void> {
    for (const server of [this.#registry, this.#blobs]) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }

  #note(request: IncomingMessage, server: Seen['server']): Seen {
    const seen = { path: request.url!, range: request.headers.range, authorization: request.headers.authorization, server }
    this.seen.push(seen)
    return seen
  }

  #answerRegistry(request: IncomingMessage, response: ServerResponse): void {
    const { path, authorization } = this.#note(request, 'registry')
    const { token } = this.settings
    if (path.startsWith('/token') && this.settings.silentTokens) return void this.settings.silentTokens--
    if (path.startsWith('/token')) return void response.end(JSON.stringify({ token }))
    if (token !== undefined && authorization !== `Bearer ${token}`) {
      const challenge = `Bearer realm="http://${this.host}/token",service="test",scope="repository:x:pull"`
      return void response.writeHead(401, { 'www-authenticate': challenge }).end()
    }
    const answer = this.answers.get(path)
    if (answer !== undefined) return void response.end(answer)
    if (!this.files.has(path)) return void response.writeHead(404).end()
    response.writeHead(307, { location: `http://${this.blobHost}${path}` }).end()
  }

  async #answerBlob(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = this.#note(request, 'blobs')
    const file = this.files.get(seen.path)
    if (!file) return void response.writeHead(404).end()
    const fault = this.settings.fault?.(this.#requests++, seen) ?? {}
    if (fault.status !== undefined) return void response.writeHead(fault.status, fault.headers).end()
    const range = /^bytes=(\d+)-(\d+)$/.exec(seen.range ?? '')
    const whole = !range || fault.ignoreRange === true
    const start = whole ? 0 : Number(range[1]) + (fault.shift ?? 0)
    const end = whole
      ? file.length
      : Math.min(file.length, Number(range[2]) + 1 + (fault.longBy ?? 0), fault.shortTo === undefined ? Infinity : start + fault.shortTo)
    if (start >= file.length && !whole) return void response.writeHead(416).end()
    const total = fault.total ?? file.length
    response.writeHead(whole ? 200 : 206, {
      'content-length': whole ? total : end - start,
      ...(!this.settings.unversioned && {
        etag: `"${file.length}-${Buffer.from(file.subarray(0, 8)).toString('hex')}"`,
        'last-modified': 'Mon, 11 Dec 2023 12:00:00 GMT',
      }),
      ...(!whole && { 'content-range': `bytes ${start}-${end - 1}/${total}` }),
      ...fault.headers,
    })
    const body = fault.corrupt ? file.map((byte) => byte ^ 1) : file
    const stop = Math.min(end, start + Math.min(fault.cutAfter ?? Infinity, fault.stallAfter ?? Infinity))
    for (let at = start; at < stop && !response.destroyed; ) {
      const next = Math.min(stop, at + (this.settings.trickle ?? 65_536))
      response.write(body.subarray(at, next))
      this.sent += next - at
      at = next
      if (this.settings.trickle !== undefined) await sleep(1)
    }
    if (fault.cutAfter !== undefined) setTimeout(() => request.socket.destroy(), 2)
    else if (fault.stallAfter === undefined) response.end()
  }
}

async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
