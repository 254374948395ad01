// The journal of a run: a file of JSON lines, of which the first says what was run and each other one has an item with
// its scores, in order. Each line is written when its item is done, so that a run that was killed goes on behind the
// last whole line. Owns the file; what an item is asked is not its business.

import fs from 'node:fs/promises'
import { MixtralError, shown } from '../../base/errors.js'
import { FileSource, ioError } from '../../base/files/byteSource.js'
import { textLines } from '../../base/files/textLines.js'
import { limits } from '../../base/limits.js'

/** What a run depends on: another one cannot go on with its journal. */
export interface JournalHead {
  readonly journal: 'mixtral-wasm eval 1'
  readonly task: string
  readonly shots: number
  /** The fingerprint of the model's files. */
  readonly model: string
  readonly numerics: number
  readonly kv_format: string
  readonly context: number
  readonly experts_per_token: number
  /** The fingerprint of the adapters and how much of each counts; undefined without any. */
  readonly adapters?: string
}

export interface JournalEntry {
  /** From 0. */
  readonly item: number
  /** The line of the task's file, or its row. */
  readonly line: number
  readonly subject?: string
  /** What the prompts are: their hash. */
  readonly prompt: string
  readonly gold: number
  /** (choices) */
  readonly scores: readonly number[]
  /** The choice that was taken. */
  readonly choice: number
  /** The choice by score per character, where the task has that. */
  readonly choice_norm?: number
  /** Whether the beginning of a prompt was left out. */
  readonly cut: boolean
}

export class Journal {
  readonly #path: string
  readonly #handle: fs.FileHandle
  /** What the file has from earlier. */
  readonly done: readonly JournalEntry[]
  #end: number

  private constructor(path: string, handle: fs.FileHandle, done: readonly JournalEntry[], end: number) {
    this.#path = path
    this.#handle = handle
    this.done = done
    this.#end = end
  }

  /**
   * Opens a journal to go on with it, or begins one. A last line that is not whole is cut off. Throws `IO` for a file
   * that is no journal or is damaged, `OPTION` for the journal of another run.
   */
  static async open(path: string, head: JournalHead): Promise<Journal> {
    const first = `${JSON.stringify(head)}\n`
    const { isThere, done, end } = await readJournal(path, head, first)
    let handle: fs.FileHandle | undefined
    try {
      handle = await fs.open(path, isThere ? 'r+' : 'wx')
      await handle.truncate(end)
    } catch (cause) {
      await handle?.close()
      throw ioError('write', path, cause)
    }
    const journal = new Journal(path, handle, done, end)
    if (end === 0) await journal.#write(first)
    return journal
  }

  /** Adds an item. Throws `IO`. */
  append(entry: JournalEntry): Promise<void> {
    return this.#write(`${asciiJson(entry)}\n`)
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  async #write(line: string): Promise<void> {
    const bytes = Buffer.from(line)
    try {
      const { size } = await this.#handle.stat()
      if (size !== this.#end) throw new Error(`it has ${size} bytes, expected ${this.#end}: another process writes it, too`)
      for (let done = 0; done < bytes.length; ) {
        done += (await this.#handle.write(bytes, done, bytes.length - done, this.#end + done)).bytesWritten
      }
      this.#end += bytes.length
    } catch (cause) {
      throw ioError('write', this.#path, cause)
    }
  }
}

/** JSON of ASCII alone: a line that ends anywhere is still UTF-8. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/**
 * The entries of a file and the place behind the last whole one; nothing of a file that is not there or was just begun.
 */
async function readJournal(path: string, head: JournalHead, first: string) {
  const done: JournalEntry[] = []
  let end = 0
  if (!(await fs.stat(path).catch(() => undefined))) return { isThere: false, done, end }
  const source = await FileSource.open(path)
  try {
    for await (const line of textLines(source, limits.taskItem.most)) {
      if (!line.isEnded) {
        if (line.number === 1 && !first.startsWith(line.text)) refuse(path, 1, 'is no head of a journal, expected the name of another file')
        break
      }
      const value = objectOf(path, line.number, line.text)
      if (line.number === 1) checkHead(path, value, head)
      else done.push(entryOf(path, line.number, value, done.length))
      end = line.end
    }
    return { isThere: true, done, end }
  } finally {
    await source.close()
  }
}

function objectOf(path: string, line: number, text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // refused below
  }
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  return refuse(path, line, 'is no object in JSON, expected a journal of mixtral eval')
}

function checkHead(path: string, found: Record<string, unknown>, head: JournalHead): void {
  if (found.journal === undefined) refuse(path, 1, 'is not of an earlier run, expected the output of one, or the name of another file')
  if (found.journal !== head.journal) {
    refuse(path, 1, `journal is ${shown(found.journal)}, expected ${JSON.stringify(head.journal)}: name another file for the output`)
  }
  for (const [name, value] of Object.entries({ adapters: undefined, ...head })) {
    if (found[name] === value) continue
    const problem = `${path} is the journal of another run: its ${name} is ${shown(found[name])}, expected ${shown(value)}`
    throw new MixtralError('OPTION', `${problem}; name another file for the output`)
  }
}

function entryOf(path: string, line: number, value: Record<string, unknown>, item: number): JournalEntry {
  if (value.item !== item) refuse(path, line, `item is ${shown(value.item)}, expected ${item}`)
  const { scores } = value
  const isRight = Array.isArray(scores) && scores.length > 0 && scores.every((score) => Number.isFinite(score))
  if (!isRight) refuse(path, line, `scores is ${shown(scores)}, expected a list of numbers`)
  return value as unknown as JournalEntry
}

function refuse(path: string, line: number, problem: string): never {
  throw new MixtralError('IO', `${path}, line ${line}: ${problem}`)
}
