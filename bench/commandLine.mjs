// The command line of a bench: options, arguments, and --help, which prints the comment that the script opens with. Its
// first line is the usage. A wrong command line ends the process with code 2.

import { readFileSync, writeSync } from 'node:fs'
import { parseArgs } from 'node:util'

/**
 * Reads the command line of the script at the address `script`, its `import.meta.url`. `options` are those of
 * `parseArgs`; there may be from `least` to `most` other arguments, such as files.
 */
export function readCommandLine(script, options = {}, [least, most] = [0, 0]) {
  const help = headOf(script)
  const refuse = (problem) => end(process.stderr, `${problem}\nusage: ${help[0]}\n`, 2)
  let read
  try {
    read = parseArgs({ options: { ...options, help: { type: 'boolean' } }, allowPositionals: true })
  } catch (error) {
    return refuse(error.message.split('. To ')[0]) // what follows is about file names that begin with -
  }
  const { values, positionals } = read
  if (values.help) end(process.stdout, `${help.join('\n')}\n`, 0)
  const { length } = positionals
  if (length < least || length > most) refuse(`found ${length} arguments, expected ${least === most ? least : `${least} to ${most}`}`)
  return { values, positionals, refuse }
}

/** The lines of the comment at the top of a script. */
function headOf(script) {
  const [comment] = /^(\/\/.*\n)+/.exec(readFileSync(new URL(script), 'utf8'))
  return comment
    .replaceAll(/^\/\/ ?/gm, '')
    .trimEnd()
    .split('\n')
}

/** Writes at once, also to a pipe, and ends the process. */
function end(stream, text, code) {
  writeSync(stream.fd, text)
  process.exit(code)
}
