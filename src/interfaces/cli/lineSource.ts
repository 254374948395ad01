// Lines that a person types, with editing and a history, or lines of a piped input. Of several lines that are pasted,
// each counts; a terminal that marks pastes makes one line of them. Owns the terminal only while it waits for a line,
// so that Ctrl-C during an answer is an ordinary SIGINT, and sees to it that one too many ends nothing.

import { createInterface } from 'node:readline'
import { PassThrough } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { beforeEnd } from './interrupt.js'
import { hasCursor, say } from './layout.js'
import { ASK_FOR_MARKS, joined, NO_MARKS, PastedText } from './pastedText.js'
import { checkStdin } from './stdin.js'

/** This number of Ctrl-C during one answer ends the process: it seems to hang. */
const PATIENCE = 3

export interface LineSource {
  /** Whether standard input is a terminal. */
  readonly interactive: boolean
  /** The next line; undefined at the end of input, or after Ctrl-C twice at an empty prompt. */
  readonly next: () => Promise<string | undefined>
  readonly close: () => void
}

export function openLines(prompt: string): LineSource {
  return process.stdin.isTTY ? typedLines(prompt) : pipedLines()
}

function typedLines(prompt: string): LineSource {
  const { stdin, stderr: output } = process
  const input = new PassThrough()
  const pasted = new PastedText()
  const decoder = new StringDecoder('utf8')
  const read = (bytes: Buffer) => input.write(pasted.push(decoder.write(bytes)))
  let history: string[] = []
  /** Lines that came with the one before, and the beginning of another. */
  const waiting: string[] = []
  let begun = ''
  /** Keeps the process alive where Ctrl-C comes as an answer has just ended, or is stopped already. */
  let ignored = 0
  const ignore = () => {
    if (++ignored < PATIENCE) return
    process.off('SIGINT', ignore)
    process.kill(process.pid, 'SIGINT')
  }
  process.on('SIGINT', ignore)
  let letGo = () => {}
  /** Takes the terminal, or gives it back, as when a signal ends the process. */
  const listen = (on: boolean) => {
    letGo()
    letGo = on ? beforeEnd(() => listen(false)) : () => {}
    stdin.setRawMode(on)
    if (hasCursor(output)) output.write(on ? ASK_FOR_MARKS : NO_MARKS)
    if (on) stdin.on('data', read).resume()
    else stdin.off('data', read).pause()
  }
  const typed = () =>
    new Promise<string | undefined>((resolve) => {
      const lines = createInterface({ input, output, prompt, history, historySize: 1000, removeHistoryDuplicates: true, terminal: true })
      let asked = false
      ignored = 0
      lines.on('history', (entries) => {
        history = entries
      })
      lines.on('SIGINT', () => {
        if (lines.line === '') {
          if (asked) return lines.close()
          asked = true
          output.write('\n')
          say('Ctrl-C again, Ctrl-D or /bye leaves')
          return lines.prompt()
        }
        asked = false
        lines.write(null, { ctrl: true, name: 'e' }) // Ctrl-C on a line that is not empty drops the line
        lines.write(null, { ctrl: true, name: 'u' })
      })
      lines.on('line', (line) => {
        waiting.push(line)
        if (waiting.length > 1) return
        setImmediate(() => {
          begun = lines.line // by then all that was pasted is read
          lines.close()
        })
      })
      lines.on('close', () => {
        listen(false)
        if (waiting.length === 0) output.write('\n')
        resolve(waiting.shift())
      })
      listen(true)
      lines.prompt()
      if (begun !== '') lines.write(begun)
      begun = ''
    })
  const next = async () => {
    if (waiting.length > 0) output.write(`${prompt}${waiting[0]}\n`)
    const line = waiting.length > 0 ? waiting.shift() : await typed()
    return line === undefined ? undefined : joined(line)
  }
  return { interactive: true, next, close: () => void process.off('SIGINT', ignore) }
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
