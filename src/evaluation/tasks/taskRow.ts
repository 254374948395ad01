// One row of a task's file, whose fields may be anything. Reading a field checks it; an error says in which line of
// which file it is. Pure.

import { MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'

export class TaskRow {
  /** The file and the line, for messages. */
  readonly where: string
  /** The line of the file, or the row of a table, from 1. */
  readonly number: number
  readonly fields: Readonly<Record<string, unknown>>

  /** Throws `IO` for what is no object. */
  constructor(file: string, unit: 'line' | 'row', number: number, value: unknown) {
    this.where = `${file}, ${unit} ${number}`
    this.number = number
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.refuse(`is ${shown(value)}, expected an object`)
    this.fields = value as Record<string, unknown>
  }

  /** Throws `IO` of this row. */
  refuse(problem: string): never {
    throw new MixtralError('IO', `${this.where}: ${problem}`)
  }

  /** A text. Throws `IO` for anything else, and for one that is too long. */
  text(name: string, value: unknown = this.#field(name)): string {
    if (typeof value !== 'string') this.refuse(`${name} is ${shown(value)}, expected a text`)
    if (value.length > limits.taskItem.most) {
      this.refuse(`${name} has ${value.length} characters, expected at most ${limits.taskItem.most}`)
    }
    return value
  }

  /** Texts, `count` of them if it is given, else at least two. Throws `IO` for anything else. */
  texts(name: string, count?: number, value: unknown = this.#field(name)): string[] {
    const wanted = count ?? 'at least 2'
    if (!Array.isArray(value)) this.refuse(`${name} is ${shown(value)}, expected a list of ${wanted} texts`)
    const { length } = value
    if (count === undefined ? length < 2 || length > limits.taskChoices.most : length !== count) {
      this.refuse(`${name} has ${length} texts, expected ${wanted}${count === undefined ? `, at most ${limits.taskChoices.most}` : ''}`)
    }
    return value.map((text, i) => this.text(`${name}[${i}]`, text))
  }

  /**
   * A whole number below `end`, which may be written as a text. Throws `IO` for anything else; `hint` is for an empty
   * text.
   */
  index(name: string, end: number, hint = ''): number {
    const value = this.#field(name)
    const written = typeof value === 'string' && /^\d{1,3}$/.test(value)
    const number = written || typeof value === 'bigint' ? Number(value) : value
    if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number < end) return number
    return this.refuse(`${name} is ${shown(value)}, expected a whole number from 0 to ${end - 1}${value === '' ? hint : ''}`)
  }

  /** An object inside the row. Throws `IO` for anything else. */
  object(name: string): Readonly<Record<string, unknown>> {
    const value = this.#field(name)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
    return this.refuse(`${name} is ${shown(value)}, expected an object`)
  }

  #field(name: string): unknown {
    if (Object.hasOwn(this.fields, name)) return this.fields[name]
    const found = Object.keys(this.fields).slice(0, 12).join(', ')
    return this.refuse(`has no ${name}${found && `, but ${found}`}, expected it as in the files of the task on Hugging Face`)
  }
}
