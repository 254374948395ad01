// The options of a server: their meaning, defaults, bounds and check. Knows neither HTTP nor a model.

import { checkNames, MixtralError, shown } from '../../base/errors.js'
import type { RequestLog } from './requestLog.js'

export interface ServerOptions {
  /** The model's name in requests and answers. Default: its file's, without `.gguf`. */
  readonly name?: string
  /** Other names by which requests may ask for the model. */
  readonly aliases?: readonly string[]
  /** Keys, one of which a request must bring. Default: none is asked for. */
  readonly apiKeys?: readonly string[]
  /** Names of hosts, beside localhost and addresses in numbers, by which the server may be called. */
  readonly allowedHosts?: readonly string[]
  /** Origins of pages, beside those of this machine, that may call: `https://chat.example.org`, or `*` for all. */
  readonly allowedOrigins?: readonly string[]
  /**
   * Whether clients may pull, copy and delete models. Default: with `serve` on an address that only this machine
   * reaches, else not.
   */
  readonly allowPull?: boolean
  /** Hosts of registries, beside Ollama's and Hugging Face's, that clients may pull from. */
  readonly allowedRegistries?: readonly string[]
  /**
   * A folder for the files and batches of clients, which one server may use at one time. Default: none, and their
   * routes are refused.
   */
  readonly files?: string
  /** Most requests that wait beside those that run; one more gets the status 503. Default 64. */
  readonly maxQueue?: number
  /** Most bytes of a request's body. Default 8 MiB: a prompt of 64k tokens has less than one. */
  readonly bodyBytes?: number
  /** Seconds that a client has for the body of its request. Default 300. */
  readonly bodySeconds?: number
  /** Seconds that a request may take in all, from its coming to the end of its answer. Default: no limit. */
  readonly timeoutSeconds?: number
  /** Seconds of silence after which an answer gets a sign of life. Default 5: Bun's own server gives up after 10. */
  readonly pingSeconds?: number
  /** Seconds after which a client is dropped that does not read its answer. Default 60. */
  readonly stallSeconds?: number
  /** Seconds that running requests get to end when the server closes. Default 30. */
  readonly graceSeconds?: number
  /** Called once for each request, when its answer has ended. */
  readonly log?: (entry: RequestLog) => void
}

/** The options with defaults filled in. */
export interface Settings {
  readonly name: string | undefined
  readonly aliases: readonly string[]
  readonly apiKeys: readonly string[]
  readonly allowedHosts: readonly string[]
  readonly allowedOrigins: readonly string[]
  readonly allowPull: boolean
  readonly allowedRegistries: readonly string[]
  readonly files: string | undefined
  readonly maxQueue: number
  readonly bodyBytes: number
  readonly bodySeconds: number
  readonly timeoutSeconds: number | undefined
  readonly pingSeconds: number
  readonly stallSeconds: number
  readonly graceSeconds: number
  readonly log: (entry: RequestLog) => void
}

/** No timer of a runtime runs longer than 24 days. */
export const LONGEST_SECONDS = 2_000_000

const LISTS = ['aliases', 'apiKeys', 'allowedHosts', 'allowedOrigins', 'allowedRegistries'] as const
const RANGES = {
  maxQueue: [0, 65_536],
  bodyBytes: [1024, 2 ** 30],
  bodySeconds: [0.001, 3600],
  pingSeconds: [0.001, 3600],
  stallSeconds: [0.001, 86_400],
  graceSeconds: [0, 86_400],
  timeoutSeconds: [0.001, LONGEST_SECONDS],
} as const

/** What can match a request at all. */
const FORMS = [
  ['apiKeys', /^[!-~]+$/, 'keys of visible ASCII characters without spaces'],
  ['allowedHosts', /^[^\s/:@\\[\]]+$/, 'names of hosts without scheme and port'],
  ['allowedOrigins', /^(null|[a-z][\w+.-]*:\/\/[^\s/?#@\\]*)$/i, 'origins such as https://chat.example.org, without a path'],
] as const

/** Throws `OPTION` for an option that is unknown, of another type or out of range. */
export function checkServerOptions(options: ServerOptions): Settings {
  if (Array.isArray(options)) throw new MixtralError('OPTION', 'the options are a list, expected an object')
  checkNames(options, ['name', ...LISTS, ...Object.keys(RANGES), 'allowPull', 'files', 'log'])
  const { name, aliases = [], apiKeys = [], allowedHosts = [], allowedOrigins = [], maxQueue = 64, bodyBytes = 8 * 2 ** 20 } = options
  const { bodySeconds = 300, timeoutSeconds, pingSeconds = 5, stallSeconds = 60, graceSeconds = 30, log = () => {} } = options
  const numbers = { maxQueue, bodyBytes, bodySeconds, timeoutSeconds, pingSeconds, stallSeconds, graceSeconds }
  const { allowPull = false, allowedRegistries = [], files } = options
  const lists = { aliases, apiKeys, allowedHosts, allowedOrigins, allowedRegistries }
  for (const [key, [least, most]] of Object.entries(RANGES)) {
    const value = numbers[key as keyof typeof RANGES]
    const whole = !key.endsWith('Seconds')
    if (value === undefined && key === 'timeoutSeconds') continue
    if (typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value))) continue
    throw new MixtralError('OPTION', `${key} is ${shown(value)}, expected a ${whole ? 'whole ' : ''}number from ${least} to ${most}`)
  }
  for (const key of LISTS) {
    const list: unknown = lists[key]
    if (Array.isArray(list) && list.every((item) => typeof item === 'string' && item !== '')) continue
    throw new MixtralError('OPTION', `${key} is ${shown(list)}, expected a list of strings`)
  }
  for (const [key, form, expected] of FORMS) {
    const wrong = lists[key].find((item) => item !== '*' && !form.test(item))
    if (wrong === undefined) continue
    const found = key === 'apiKeys' ? 'one that can never match' : shown(wrong) // a key is no text for messages
    throw new MixtralError('OPTION', `${key} has ${found}, expected ${expected}`)
  }
  if (name !== undefined && (typeof name !== 'string' || !/^[\w.:/@+-]{1,200}$/.test(name))) {
    throw new MixtralError('OPTION', `name is ${shown(name)}, expected letters, digits and _ . : / @ + -`)
  }
  if (typeof allowPull !== 'boolean') throw new MixtralError('OPTION', `allowPull is ${shown(allowPull)}, expected true or false`)
  if (files !== undefined && (typeof files !== 'string' || files === '')) {
    throw new MixtralError('OPTION', `files is ${shown(files)}, expected the path of a folder`)
  }
  if (typeof log !== 'function') throw new MixtralError('OPTION', 'log is not a function')
  return { name, ...lists, ...numbers, allowPull, files, log }
}
