// An object from an untrusted JSON file of a checkpoint. Owns the reading of the file and the checks of single values;
// every error names the file and the key. A key whose value is null counts as absent, as it does in the programs that
// write such files.

import { quoted } from '../../base/errors.js'
import { FileSource } from '../../base/files/byteSource.js'
import { checkpointError } from './checkpointError.js'

export class JsonObject {
  /** The file, for messages. */
  readonly file: string
  readonly #path: string
  readonly #fields: Readonly<Record<string, unknown>>

  private constructor(file: string, path: string, fields: object) {
    this.file = file
    this.#path = path
    this.#fields = fields as Readonly<Record<string, unknown>>
  }

  /**
   * Reads a file of at most `mostBytes`. Throws `IO` if it cannot be read, `CHECKPOINT` if it is longer or does not
   * hold an object.
   */
  static async read(path: string, mostBytes: number): Promise<JsonObject> {
    return JsonObject.parse(await readText(path, mostBytes), path)
  }

  /** @param file for messages */
  static parse(text: string, file: string): JsonObject {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      throw checkpointError(file, `not valid JSON: ${(cause as Error).message}`, undefined, { cause })
    }
    if (!isObject(value)) throw checkpointError(file, `holds ${described(value)}, expected a JSON object`)
    return new JsonObject(file, '', value)
  }

  get keys(): string[] {
    return Object.keys(this.#fields)
  }

  has(key: string): boolean {
    return this.value(key) !== undefined
  }

  /** The value of a key, of any type; undefined if it is absent or null. */
  value(key: string): unknown {
    return Object.hasOwn(this.#fields, key) ? (this.#fields[key] ?? undefined) : undefined
  }

  /** Throws the error for a key whose value is not as expected. */
  refuse(key: string, expected: string): never {
    throw checkpointError(this.file, `${described(this.value(key))}, expected ${expected}`, `key ${quoted(this.#path + key)}`)
  }

  string(key: string): string | undefined {
    const value = this.value(key)
    return value === undefined || typeof value === 'string' ? value : this.refuse(key, 'a string')
  }

  boolean(key: string): boolean | undefined {
    const value = this.value(key)
    return value === undefined || typeof value === 'boolean' ? value : this.refuse(key, 'true or false')
  }

  number(key: string): number | undefined {
    const value = this.value(key)
    return value === undefined || (typeof value === 'number' && Number.isFinite(value)) ? value : this.refuse(key, 'a number')
  }

  /**
   * A number that is to be stored as float32: one that would become infinite there, or 0 without being 0, is refused.
   */
  float32(key: string): number | undefined {
    const value = this.number(key)
    if (value === undefined) return undefined
    const stored = Math.fround(value)
    return Number.isFinite(stored) && (stored !== 0 || value === 0) ? value : this.refuse(key, 'a number that float32 can hold')
  }

  /** A whole number from `least` to `most`. */
  integer(key: string, least: number, most: number): number | undefined {
    const value = this.value(key)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
    return this.refuse(key, `a whole number from ${least} to ${most}`)
  }

  object(key: string): JsonObject | undefined {
    const value = this.value(key)
    if (value === undefined) return undefined
    return isObject(value) ? new JsonObject(this.file, `${this.#path}${key}.`, value) : this.refuse(key, 'an object')
  }

  array(key: string): readonly unknown[] | undefined {
    const value = this.value(key)
    return value === undefined || Array.isArray(value) ? value : this.refuse(key, 'an array')
  }

  /** An array of objects. */
  objects(key: string): JsonObject[] | undefined {
    return this.array(key)?.map((item, n) =>
      isObject(item) ? new JsonObject(this.file, `${this.#path}${key}.${n}.`, item) : this.refuse(key, 'an array of objects'),
    )
  }
}

/** The text of a UTF-8 file of at most `mostBytes`. Throws `IO`, or `CHECKPOINT` if it is longer or no UTF-8. */
export async function readText(path: string, mostBytes: number): Promise<string> {
  const bytes = await readBytes(path, mostBytes)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw checkpointError(path, 'not valid UTF-8', undefined, { cause })
  }
}

/** The bytes of a file of at most `mostBytes`. */
export async function readBytes(path: string, mostBytes: number): Promise<Uint8Array> {
  const source = await FileSource.open(path)
  try {
    if (source.bytes > mostBytes) throw checkpointError(path, `${source.bytes} bytes, expected at most ${mostBytes}`)
    return await source.read(0, source.bytes)
  } finally {
    await source.close()
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function described(value: unknown): string {
  if (value === undefined || value === null) return 'no value'
  if (typeof value === 'string') return quoted(value)
  if (Array.isArray(value)) return `a list of ${value.length}`
  return typeof value === 'object' ? 'an object' : String(value)
}
