#!/usr/bin/env node
// The `mixtral` command's process: the only file that exits. 0 done, 1 failed, 2 wrong usage; interrupted, 128 and the
// number of the signal, as shells have it. Knows nothing of what the commands do.

import { constants } from 'node:os'
import { inspect } from 'node:util'
import { CommanderError } from 'commander'
import { MixtralError } from '../../base/errors.js'
import { messageOf } from './flagWords.js'
import { lastSignal } from './interrupt.js'
import { complain, errorLine, say } from './layout.js'
import { createProgram } from './program.js'
import { writeWhole } from './wholeWrites.js'

writeWhole(process.stdout, 1)
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0) // the reader has enough, as in `mixtral run | head -1`: that is not a failure
  process.stderr.write(errorLine(`standard output cannot be written: ${error.message}`))
  process.exit(1)
})
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
