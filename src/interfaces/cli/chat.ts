// `mixtral chat`: a conversation through the model's chat template. Owns the history and the slash commands; lines are
// read by lineSource.ts.

import type { Command } from 'commander'
import { MixtralError } from '../../base/errors.js'
import type { ChatMessage } from '../../text/chat/chatMessages.js'
import type { ChatResult } from '../../text/generate/generation.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { receive, showLogprobs, summarize } from './answer.js'
import { ANY_MODEL, addDebugFlag, addModelFlags, type ModelFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { colorsOf, plainLines } from './layout.js'
import { type LineSource, openLines } from './lineSource.js'
import { withModel } from './loading.js'
import { addSamplingFlags, generationOptions, type SamplingFlags } from './samplingFlags.js'

interface ChatFlags extends ModelFlags, SamplingFlags {
  readonly system?: string
}

const help = `/clear          forget the conversation
/system TEXT    set the system message, or without TEXT remove it; forgets the conversation
/help           this list
/bye            leave, as Ctrl-D does; Ctrl-C stops an answer
`

export function configureChat(command: Command): void {
  command.argument('[model]', ANY_MODEL, 'demo').option('--system <text>', 'a system message')
  addDebugFlag(addSamplingFlags(addModelFlags(command)))
    .addHelpText(
      'after',
      wrapped(`
In the chat, Ctrl-C stops the answer; at the empty prompt it leaves, as Ctrl-D and /bye do. /help lists the other commands. Where the input
is not a terminal, each line that is no such command is a message.

Examples:
  mixtral chat
  mixtral chat mixtral-8x7b-instruct.Q4_K_M.gguf --system "Answer in one sentence." --temperature 0.3
  echo "What is the capital of France?" | mixtral chat demo --temperature 0`),
    )
    .action(chat)
}

async function chat(name: string, flags: ChatFlags): Promise<void> {
  await withModel(name, flags, async (model) => {
    const lines = openLines(colorsOf(process.stderr).bold('> '))
    try {
      if (lines.interactive) process.stderr.write(`${name}, ${model.contextLength} tokens of context. /help lists commands.\n`)
      await converse(model, lines, flags)
    } finally {
      lines.close()
    }
  })
}

async function converse(model: MixtralModel, lines: LineSource, flags: ChatFlags): Promise<void> {
  let system = flags.system ?? ''
  let turns: ChatMessage[] = []
  for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
    const [word] = line.trim().split(/\s/)
    if (!word) continue
    if (word === '/bye') return
    if (word === '/clear') turns = []
    else if (word === '/system') {
      system = line.trim().slice(word.length).trim()
      turns = []
    } else if (word === '/help') process.stderr.write(help)
    else if (word.startsWith('/') && lines.interactive) process.stderr.write(`no command ${word}\n${help}`)
    else {
      const question: ChatMessage = { role: 'user', content: line.trim() }
      const opening: ChatMessage[] = system ? [{ role: 'system', content: system }] : []
      const text = await reply(model, [...opening, ...turns, question], flags, lines.interactive)
      if (text !== undefined) turns.push(question, { role: 'assistant', content: text })
    }
  }
}

/** Prints the answer and returns it; undefined if there is none and the conversation stays as it was. */
async function reply(model: MixtralModel, messages: ChatMessage[], flags: ChatFlags, interactive: boolean): Promise<string | undefined> {
  try {
    let folded = false
    const start = async function* (options: Parameters<MixtralModel['streamChat']>[1]) {
      const result: ChatResult = yield* model.streamChat(messages, options)
      folded = result.folded
      return result
    }
    const answer = await receive(start, generationOptions(flags), (text) => void process.stdout.write(text))
    process.stdout.write('\n')
    showLogprobs(answer)
    if (interactive) summarize(answer)
    // Ctrl-C stops the answer only. The other signals, and a closed terminal, end the chat.
    if (answer.endedBy && answer.endedBy !== 'SIGINT') throw new MixtralError('ABORTED', 'interrupted')
    if (folded && messages.length === 2)
      process.stderr.write('note: this model has no system role, the system message went before your first one\n')
    return answer.text || undefined
  } catch (error) {
    // The next message may fit where this one did not: a shorter one, or one after /clear.
    if (!interactive || !(error instanceof MixtralError) || (error.code !== 'CONTEXT' && error.code !== 'TEMPLATE')) throw error
    process.stderr.write(`${plainLines(error.message)}; /clear forgets the conversation\n`)
    return undefined
  }
}
