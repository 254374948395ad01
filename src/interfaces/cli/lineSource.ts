// Lines that a person types, with editing and a history, or lines of a piped input. Owns the terminal only while it
// waits for a line, so that Ctrl-C during an answer is an ordinary SIGINT.

import { createInterface } from 'node:readline'
import { checkStdin } from './stdin.js'

export interface LineSource {
  /** Whether standard input is a terminal. */
  readonly interactive: boolean
  /** The next line; undefined at the end of input, or after Ctrl-C at an empty prompt. */
  readonly next: () => Promise<string | undefined>
  readonly close: () => void
}

export function openLines(prompt: string): LineSource {
  return process.stdin.isTTY ? typedLines(prompt) : pipedLines()
}

function typedLines(prompt: string): LineSource {
  let history: string[] = []
  const next = () =>
    new Promise<string | undefined>((resolve) => {
      const { stdin: input, stderr: output } = process
      const lines = createInterface({ input, output, prompt, history, historySize: 1000, removeHistoryDuplicates: true })
      let line: string | undefined
      lines.on('history', (entries) => {
        history = entries
      })
      lines.on('SIGINT', () => {
        if (lines.line === '') return lines.close()
        lines.write(null, { ctrl: true, name: 'e' }) // Ctrl-C on a line that is not empty drops the line
        lines.write(null, { ctrl: true, name: 'u' })
      })
      lines.on('line', (typed) => {
        line = typed
        lines.close()
      })
      lines.on('close', () => {
        if (line === undefined) output.write('\n')
        resolve(line)
      })
      lines.prompt()
    })
  return { interactive: true, next, close: () => {} }
}

function pipedLines(): LineSource {
  checkStdin()
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })
  const each = lines[Symbol.asyncIterator]()
  const next = async () => {
    const { done, value } = await each.next()
    return done ? undefined : value
  }
  return { interactive: false, next, close: () => lines.close() }
}
