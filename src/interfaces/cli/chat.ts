// `mixtral chat`: a conversation through the model's chat template. Owns the loop; lines are read by lineSource.ts,
// answers made by reply.ts, and the history is conversation.ts's.

import type { Command } from 'commander'
import { MixtralError } from '../../base/errors.js'
import type { ChatMessage } from '../../text/chat/chatMessages.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { Conversation, conversationHelp } from './conversation.js'
import { ANY_MODEL, addDebugFlag, addLoraFlag, addModelFlags, type ModelFlags } from './flags.js'
import { messageOf } from './flagWords.js'
import { wrapped } from './helpText.js'
import { colorsOf, complain, say, widthOf } from './layout.js'
import { type LineSource, openLines } from './lineSource.js'
import { withModel } from './loading.js'
import { meantSlash } from './nearFlags.js'
import { type Replying, reply } from './reply.js'
import { addSamplingFlags, checkBeforeLoading, generationOptions, type SamplingFlags } from './samplingFlags.js'
import { ToolModule } from './toolModule.js'
import { wrapLines } from './wordWrap.js'

interface ChatFlags extends ModelFlags, SamplingFlags {
  readonly system?: string
  readonly tools?: string
  readonly toolChoice?: string
  readonly forget?: true
}

interface Talking extends Replying {
  /** Whether the oldest messages are forgotten where there is no room. */
  readonly forget: boolean
}

/** Columns of a command in the list of commands. */
const COMMAND_WIDTH = 16

/** What ends the chat: our word, and those of other programs. */
const LEAVING: readonly string[] = ['/bye', '/exit', '/quit']

const help = `${conversationHelp}/help           this list
/bye            leave, as /exit, /quit and Ctrl-D do; Ctrl-C stops an answer, and twice at the empty prompt leaves
`

export function configureChat(command: Command): void {
  command
    .argument('[model]', ANY_MODEL, 'demo')
    .option('--system <text>', 'a system message; an empty one for none, not even that of the model')
    .option('--forget', 'forget the oldest messages where there is no room for the next one')
    .option('--tools <file>', 'a module with functions that the model may call')
    .option('--tool-choice <choice>', 'auto, none, required, or the name of a function: what the first answer to a message calls')
  addDebugFlag(addSamplingFlags(addLoraFlag(addModelFlags(command))))
    .addHelpText(
      'after',
      wrapped(`
In the chat, Ctrl-C stops the answer; twice at the empty prompt it leaves, as Ctrl-D and /bye do. /help lists the other commands. Where the input
is not a terminal, each line that is no such command is a message; one that does not fit is told, and the exit code is then 1.

With --tools, the functions that FILE exports are called with one object, and what they return is sent back, until the model answers with a text;
both are shown on stderr. A function may have a description, and as parameters the JSON Schema of its object. FILE is run as any program of yours.

Examples:
  mixtral chat
  mixtral chat mixtral-8x7b-instruct.Q4_K_M.gguf --system "Answer in one sentence." --temperature 0.3
  mixtral chat mixtral-8x22b-instruct.Q4_K_M.gguf --tools weather.mjs
  echo "What is the capital of France?" | mixtral chat demo --temperature 0`),
    )
    .action((name: string, flags: ChatFlags) => chat(command, name, flags))
}

async function chat(command: Command, name: string, flags: ChatFlags): Promise<void> {
  if (flags.toolChoice !== undefined && flags.tools === undefined) command.error('--tool-choice is given without --tools FILE')
  const tools = flags.tools === undefined ? undefined : await ToolModule.load(flags.tools)
  const generation = generationOptions(flags)
  await checkBeforeLoading(generation)
  await withModel(name, flags, async (model) => {
    const lines = openLines(colorsOf(process.stderr).bold('> '))
    try {
      if (lines.interactive) say(`${name}, ${model.contextLength} tokens of context. /help lists commands.`)
      const { toolChoice } = flags
      const options = { generation, interactive: lines.interactive, tools, toolChoice, forget: flags.forget === true }
      await converse(model, lines, flags.system, options)
    } finally {
      lines.close()
    }
  })
}

async function converse(model: MixtralModel, lines: LineSource, system: string | undefined, options: Talking): Promise<void> {
  const conversation = new Conversation(model, system, options.tools?.definitions)
  for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
    const text = line.trim()
    const [word] = text.split(/\s/)
    if (!word) continue
    if (LEAVING.includes(text)) return
    if (word === '/help') showHelp()
    else if (!(await obeyed(conversation, word, text.slice(word.length).trim(), options.interactive))) {
      if (!word.startsWith('/') || !options.interactive) await answered(model, conversation, text, options)
      else if (word === '/bye') say('/bye leaves where nothing follows it')
      else {
        const near = meantSlash(word, [...conversation.commands, '/help', '/bye'])
        say(`no command ${word}${near}`)
        if (near === '') showHelp()
      }
    }
  }
}

/** Answers a message, unless it does not fit, or is refused by the template: then the next may. */
async function answered(model: MixtralModel, conversation: Conversation, text: string, options: Talking): Promise<void> {
  const question: ChatMessage = { role: 'user', content: text }
  try {
    const answers = await reply(model, conversation.with(question), options)
    if (answers) conversation.add(question, answers)
  } catch (error) {
    const code = error instanceof MixtralError ? error.code : undefined
    if (code === 'CONTEXT' && options.forget && conversation.forgetOldest()) {
      if (options.interactive) say('forgot the oldest message')
      return answered(model, conversation, text, options)
    }
    if (options.interactive && (code === 'CONTEXT' || code === 'TEMPLATE')) {
      say(`${messageOf(error)}; /forget forgets the oldest message, /clear all`)
    } else if (code === 'CONTEXT') {
      complain(messageOf(error))
      process.exitCode = 1
    } else throw error
  }
}

function showHelp(): void {
  process.stderr.write(wrapLines(help, widthOf(process.stderr), COMMAND_WIDTH))
}

/** Whether a word was a command of the conversation. On a terminal, one that fails says so and the chat goes on. */
async function obeyed(conversation: Conversation, word: string, rest: string, interactive: boolean): Promise<boolean> {
  try {
    const told = await conversation.obey(word, rest)
    if (told) say(told)
    return told !== undefined
  } catch (error) {
    if (!interactive || !(error instanceof MixtralError)) throw error
    say(messageOf(error))
    return true
  }
}
