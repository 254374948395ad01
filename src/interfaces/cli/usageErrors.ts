// A command that says what is wrong with its arguments in the words of the other errors: what was found, what was
// expected. Takes what commander says of them; does not know the commands.

import { Command, type ErrorOptions } from 'commander'
import { quoted } from '../../base/errors.js'
import { meantCommand, meantFlag } from './nearFlags.js'

export class PlainCommand extends Command {
  override createCommand(name?: string): PlainCommand {
    return new PlainCommand(name)
  }

  /** Called by commander for a flag that this command does not have. */
  unknownOption(flag: string): void {
    const known = this.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : []))
    const meant = /\s|^-\d/.test(flag) ? '; a text that begins with - goes behind --' : meantFlag(flag, [...known, '--help'])
    const help = `; ${nameOf(this)} --help shows which there are`
    this.error(`unknown option ${quoted(flag)}${meant || help}`, { code: 'commander.unknownOption' })
  }

  /** Called by commander for an argument that is not given. */
  missingArgument(name: string): never {
    failMissing(this, name)
  }

  /** Called by commander for a command that does not exist. */
  unknownCommand(): void {
    this.failUnknownCommand(this.args[0] ?? '')
  }

  override error(message: string, options?: ErrorOptions): never {
    if (options?.code !== 'commander.excessArguments') super.error(message, options)
    const model = this.options.some(({ long }) => long === '--model') ? '; the model goes behind --model' : ''
    super.error(`too many arguments: ${this.args.length}, expected ${usageOf(this)}${model}`, options)
  }

  failUnknownCommand(name: string): never {
    const names = this.commands.map((command) => command.name())
    this.error(`unknown command ${quoted(name)}${meantCommand(name, names)}`, { code: 'commander.unknownCommand' })
  }
}

/** Ends a command that lacks an argument; `because` tells how those that are given were taken. */
export function failMissing(command: Command, name: string, because = ''): never {
  command.error(`${name.toUpperCase()} is missing, expected ${usageOf(command, name)}${because}`, { code: 'commander.missingArgument' })
}

/** The form of a command, such as `mixtral show NAME`; the argument `missing` is one that it needs. */
function usageOf(command: Command, missing?: string): string {
  const all = command.registeredArguments.map((argument) => {
    const word = argument.name().toUpperCase() + (argument.variadic ? '...' : '')
    return argument.required || argument.name() === missing ? word : `[${word}]`
  })
  return [nameOf(command), ...all].join(' ')
}

/** How a command is called, such as `mixtral batch merge`. */
function nameOf(command: Command): string {
  const names: string[] = []
  for (let at: Command | null = command; at; at = at.parent) names.unshift(at.name())
  return names.join(' ')
}

/** What commander says, in the words of the other errors. */
export function inOneVoice(message: string): string {
  const text = message.trim().replace(/^error: /, '')
  for (const [pattern, say] of sentences) {
    const found = pattern.exec(text)
    if (found) return say(...(found.slice(1) as [string, string, string]))
  }
  return text
}

const flagOf = (flags: string) => /--[\w-]+/.exec(flags)?.[0] ?? flags
/** `Expected a number.` as the end of a sentence, and other reasons behind a colon. */
const because = (why: string) => {
  const reason = why.replace(/\.$/, '')
  return reason.startsWith('Expected') ? `, e${reason.slice(1)}` : `: ${reason[0]?.toLowerCase() ?? ''}${reason.slice(1)}`
}

/** Where else a flag's value may be. */
const elsewhere: Readonly<Record<string, string>> = { '--queue <address>': ', or MIXTRAL_QUEUE in the environment' }

const sentences: readonly (readonly [RegExp, (first: string, second: string, third: string) => string])[] = [
  [/^option '([^']*)' argument '(.*)' is invalid\. (.*)$/s, (flags, value, why) => `${flagOf(flags)} is ${quoted(value)}${because(why)}`],
  [
    /^command-argument value '(.*)' is invalid for argument '([^']*)'\. (.*)$/s,
    (value, name, why) => `${name.toUpperCase()} is ${quoted(value)}${because(why)}`,
  ],
  [/^option '([^']*)' argument missing$/, (flags) => `${flagOf(flags)} has no value, expected ${flags}`],
  [/^required option '([^']*)' not specified$/, (flags) => `${flagOf(flags)} is missing, expected ${flags}${elsewhere[flags] ?? ''}`],
]
