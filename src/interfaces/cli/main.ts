#!/usr/bin/env node
// The `mixtral` command's process: the only file that exits. 0 done, 1 failed, 2 wrong usage; interrupted, 128 and the
// number of the signal, as shells have it. Owns that standard output fails where a file takes only a part of it, as on
// a full disk. Knows nothing of what the commands do.

import { fstatSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import type { Writable } from 'node:stream'
import { inspect } from 'node:util'
import { CommanderError } from 'commander'
import { MixtralError } from '../../base/errors.js'
import { messageOf } from './flagWords.js'
import { endWithTerminal, lastSignal } from './interrupt.js'
import { complain, errorLine, say } from './layout.js'
import { createProgram } from './program.js'

writeWhole(process.stdout, 1)
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0) // the reader has enough, as in `mixtral run | head -1`: that is not a failure
  process.stderr.write(errorLine(`standard output cannot be written: ${error.message}`))
  process.exit(1)
})
process.on('exit', endWithTerminal)
process.stderr.on('error', () => {}) // nobody can read what stderr would say; the work continues

const program = createProgram()
let debug = false
program.hook('preAction', (_, command) => {
  debug = command.opts().debug === true
})

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

/** Prints the error in one line, or with `--debug` with the stack trace; returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // commander has printed help or its line
  if (error instanceof MixtralError && error.code === 'ABORTED') return 128 + constants.signals[lastSignal ?? 'SIGINT'] // the user knows
  if (debug) say(inspect(error))
  else complain(messageOf(error))
  return error instanceof MixtralError && error.code === 'OPTION' ? 2 : 1
}

/**
 * Node 20 writes a chunk to a file with one call, and takes no notice if only a part went in.
 * @param fd that of the stream
 */
function writeWhole(stream: Writable, fd: number): void {
  if (!isFile(fd)) return
  stream._write = (chunk: Uint8Array | string, encoding, done) => {
    try {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
    } catch (error) {
      done(error as Error)
      return
    }
    done()
  }
}

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile()
  } catch {
    return false // closed
  }
}
