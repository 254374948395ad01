// A queue of a server that many machines reach: Redis or PostgreSQL, by its address. BullMQ does all that a queue does;
// it and the client of the server are the application's to install, and are loaded when a queue is asked for. Owns
// names of queues and the options of connections. An address may have a password in it, so it is in no message.

import type { Job, JobsOptions, Queue, Worker } from 'bullmq'
import { checkText, MixtralError, shown } from '../../base/errors.js'

export type AnyQueue<Data, Result = unknown> = Queue<Data, Result, string>
type AnyWorker<Data, Result> = Worker<Data, Result, string>

type BullMq = typeof import('bullmq')

export interface WorkerSettings {
  readonly concurrency: number
  /** Milliseconds after which the job of a worker that is silent goes to another one. */
  readonly lockDuration: number
}

/**
 * How many workers a job is given to that dies with them: what it has done meanwhile is kept (queueWorker.ts). A client
 * tries to connect `attempts` times; a worker that was connected tries for ever. A result that is under way when a
 * worker ends has `close`. Times are milliseconds.
 */
const most = { stalls: 1000, attempts: 10, pause: 500, longestPause: 5000, close: 5000 }

export class QueueBackend {
  readonly #bullmq: BullMq
  readonly #address: string
  /** PostgreSQL's connections, which all queues share; undefined with Redis. */
  readonly #pool: PgPool | undefined
  readonly #open: Connected[] = []
  readonly #queues = new Map<string, Promise<AnyQueue<never>>>()
  #isLate = false
  /** The last error of a connection: it says why nothing happens. */
  #trouble: Error | undefined

  private constructor(bullmq: BullMq, address: string, pool: PgPool | undefined) {
    this.#bullmq = bullmq
    this.#address = address
    this.#pool = pool
  }

  /** Throws `OPTION` for an address of another kind, and `UNSUPPORTED` where a package is missing. */
  static async load(address: string): Promise<QueueBackend> {
    checkText('the queue', address)
    const [, scheme] = /^(rediss?|postgres(?:ql)?):\/\//.exec(address) ?? []
    if (scheme === undefined) {
      const [kind] = /^[\w+.-]*:(\/\/)?/.exec(address) ?? [] // the rest may be a password
      const found = kind === undefined ? 'has no scheme' : `begins with ${shown(kind)}`
      throw new MixtralError('OPTION', `the address of the queue ${found}, expected redis://, rediss:// or postgres://`)
    }
    const isPostgres = scheme.startsWith('postgres')
    const client = isPostgres ? 'pg' : 'ioredis'
    const missing = (name: string) => (cause: unknown) => {
      throw new MixtralError('UNSUPPORTED', `a queue needs the package ${name}, which is not installed: npm install bullmq ${client}`, {
        cause,
      })
    }
    const bullmq = await import('bullmq').catch(missing('bullmq'))
    const driver = await import(client).catch(missing(client))
    const backend = new QueueBackend(bullmq, address, isPostgres ? poolOf(driver.default as Pg, address, bullmq.DEFAULT_SCHEMA) : undefined)
    if (isPostgres) await backend.#migrate()
    return backend
  }

  /** A queue, the same one for the same name. Throws `IO` where the server cannot be reached. */
  queue<Data, Result = unknown>(name: string): Promise<AnyQueue<Data, Result>> {
    const known = this.#queues.get(name) ?? this.#openQueue(name)
    this.#queues.set(name, known)
    return known as Promise<AnyQueue<never>> as Promise<AnyQueue<Data, Result>>
  }

  async #openQueue(name: string): Promise<AnyQueue<never>> {
    const { Queue, createPostgresBackend } = this.#bullmq
    const queue = this.#pool
      ? new Queue(name, { connection: this.#pool } as never, createPostgresBackend as never)
      : new Queue(name, { connection: this.#redis() })
    return this.#ready(queue as AnyQueue<never>)
  }

  /** Works on jobs as they come, until it is closed. Throws `IO` where the server cannot be reached. */
  async worker<Data, Result>(
    name: string,
    work: (job: Job<Data, Result, string>) => Promise<Result>,
    { concurrency, lockDuration }: WorkerSettings,
  ): Promise<AnyWorker<Data, Result>> {
    const { Worker, createPostgresBackend } = this.#bullmq
    const options = { concurrency, lockDuration, stalledInterval: lockDuration, maxStalledCount: most.stalls, drainDelay: 1 }
    const worker = this.#pool
      ? new Worker<Data, Result, string>(name, work, { ...options, connection: this.#pool } as never, createPostgresBackend as never)
      : new Worker<Data, Result, string>(name, work, { ...options, connection: this.#redis() })
    return this.#ready(worker as AnyWorker<Data, Result>)
  }

  /** Closes what is open. A server that is away is not waited for. Never throws. */
  async close(): Promise<void> {
    const late = setTimeout(() => {
      this.#isLate = true // a client of Redis would try to connect for ever
    }, most.close)
    await Promise.all(this.#open.splice(0).map(endConnection))
    await withinTime(this.#pool?.end())
    clearTimeout(late)
    this.#isLate = true
  }

  /** The error of what the server did not do. */
  failure(doing: string, cause: unknown): MixtralError {
    if (cause instanceof MixtralError) return cause
    const why = this.#trouble?.message || (cause as Error)?.message || 'it does not answer'
    return new MixtralError('IO', `the queue's server cannot ${doing}: ${why.replaceAll(this.#address, 'its address')}`, { cause })
  }

  async #ready<T extends Connected>(one: T): Promise<T> {
    this.#open.push(one)
    one.on('error', (error) => {
      this.#trouble = error
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('it does not answer')), most.attempts * most.pause)
    })
    try {
      await Promise.race([one.waitUntilReady(), late])
      return one
    } catch (error) {
      throw this.failure('be reached', error)
    } finally {
      clearTimeout(timer)
    }
  }

  #redis() {
    const retryStrategy = (times: number) => (this.#isLate ? null : Math.min(most.pause * times, most.longestPause))
    return { url: this.#address, maxRetriesPerRequest: null, retryStrategy }
  }

  /** Makes the tables, unless they are there. */
  async #migrate(): Promise<void> {
    try {
      const client = await this.#pool!.connect()
      try {
        await this.#bullmq.runMigrations(client)
      } finally {
        client.release()
      }
    } catch (error) {
      void this.close()
      throw this.failure('be reached', error)
    }
  }
}

/** Connections that may be lost at any time: without a listener, that would end the process. */
function poolOf({ Pool, Client }: Pg, address: string, schema: string): PgPool {
  class QuietClient extends Client {
    constructor(config: unknown) {
      super(config)
      this.on('error', () => {})
    }
  }
  const options = { options: `-c search_path=${schema}`, keepAlive: true, max: 8, connectionTimeoutMillis: most.attempts * most.pause }
  const pool = new Pool({ connectionString: address, ...options, Client: QuietClient })
  pool.on('error', () => {})
  return pool
}

/** What is used of pg, which brings no types. */
interface Pg {
  readonly Pool: new (options: object) => PgPool
  readonly Client: new (config: unknown) => { on(event: 'error', listen: () => void): unknown }
}

interface PgPool {
  connect(): Promise<Parameters<BullMq['runMigrations']>[0] & { release(): void }>
  end(): Promise<void>
  on(event: 'error', listen: () => void): unknown
}

/** What has a connection to the server. */
interface Connected {
  waitUntilReady(): Promise<unknown>
  close(): Promise<void>
  disconnect(): Promise<void>
  on(event: 'error', listen: (error: Error) => void): unknown
}

/** Closes in good order, or cuts the connection where that takes too long: it waits for a server that is away. */
async function endConnection(one: Connected): Promise<void> {
  if (!(await withinTime(one.close()))) await withinTime(one.disconnect())
}

/** Whether some work has ended by itself in the time that there is. Never throws. */
async function withinTime(work: Promise<unknown> | undefined): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, most.close, false)
  })
  const isOver = await Promise.race([Promise.resolve(work).then(() => true), late]).catch(() => false)
  clearTimeout(timer)
  return isOver
}

/** The options of a chunk's job: a failure of the machine is tried again, later each time. */
export const JOB_OPTIONS: JobsOptions = { attempts: 5, backoff: { type: 'exponential', delay: 1000 } }
