// A module whose functions the model may call, for `mixtral chat --tools`. Owns which exports are tools, and what is
// sent back of a call: its value, or its error, as a text. A module is a program of the user's own: it runs as such.

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MixtralError, shown } from '../../base/errors.js'
import type { ToolCall } from '../../text/tools/toolCalls.js'
import { checkTools, type ToolDefinition } from '../../text/tools/toolDefinitions.js'

type Tool = ((args: object, call: { readonly signal: AbortSignal }) => unknown) & {
  readonly description?: string
  readonly parameters?: object
}

export class ToolModule {
  readonly definitions: readonly ToolDefinition[]
  readonly #functions: ReadonlyMap<string, Tool>

  private constructor(functions: ReadonlyMap<string, Tool>) {
    this.#functions = functions
    this.definitions = Array.from(functions, ([name, { description, parameters }]) => ({
      type: 'function',
      function: { name, ...(description !== undefined && { description }), ...(parameters !== undefined && { parameters }) },
    }))
  }

  /**
   * Imports a module. Its tools are the functions that it exports by name, and those in a default export, which is a
   * function or an object of functions. Throws `IO` if it cannot be imported, `OPTION` if it has none, or one that
   * cannot be a tool.
   */
  static async load(path: string): Promise<ToolModule> {
    let exports: Readonly<Record<string, unknown>>
    try {
      exports = await import(pathToFileURL(resolve(path)).href)
    } catch (error) {
      throw new MixtralError('IO', `cannot import ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    const { default: main, ...named } = exports
    const own = typeof main === 'function' ? { [main.name]: main } : typeof main === 'object' && main !== null ? main : {}
    const functions = Object.entries({ ...named, ...own }).filter((entry): entry is [string, Tool] => typeof entry[1] === 'function')
    if (functions.length === 0) throw new MixtralError('OPTION', `${path} exports no function, expected the tools of the chat`)
    const module = new ToolModule(new Map(functions))
    checkTools({ tools: module.definitions })
    return module
  }

  /** Runs a call. Whatever happens is a text for the model, except that a signal ends the wait: throws `ABORTED`. */
  async run({ function: { name, arguments: text } }: ToolCall, signal: AbortSignal): Promise<string> {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new MixtralError('ABORTED', 'interrupted')), { once: true })
    })
    return Promise.race([this.#result(name, text, signal), aborted])
  }

  async #result(name: string, text: string, signal: AbortSignal): Promise<string> {
    try {
      const value = await this.#functions.get(name)!(JSON.parse(text), { signal })
      return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null')
    } catch (error) {
      return JSON.stringify({ error: error instanceof Error ? error.message : shown(error) })
    }
  }
}
