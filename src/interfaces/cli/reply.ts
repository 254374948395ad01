// The answer to a message in `mixtral chat`: printed as it comes; calls are run, and the model is asked again, until it
// answers with a text. Owns what is shown of calls, and how often the model may call before it must answer.

import { MixtralError } from '../../base/errors.js'
import type { ChatMessage } from '../../text/chat/chatMessages.js'
import type { ChatOptions, GenerationOptions } from '../../text/generate/generationOptions.js'
import type { ChatResult } from '../../text/generate/generationResult.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import type { ToolCall } from '../../text/tools/toolCalls.js'
import type { ToolChoice } from '../../text/tools/toolDefinitions.js'
import { receive, showLogprobs, summarize } from './answer.js'
import { onInterrupt } from './interrupt.js'
import { say, streamedTo } from './layout.js'
import type { ToolModule } from './toolModule.js'

export interface Replying {
  readonly generation: GenerationOptions
  readonly interactive: boolean
  readonly tools: ToolModule | undefined
  /** As on the command line. */
  readonly toolChoice: string | undefined
}

/** Answers with calls to one message. A model that has called so often is asked for a text. */
const MOST_ROUNDS = 8

/**
 * The messages that follow; undefined if there is no answer and the conversation stays as it was. Throws what
 * `streamChat` throws.
 */
export async function reply(model: MixtralModel, messages: readonly ChatMessage[], options: Replying): Promise<ChatMessage[] | undefined> {
  const added: ChatMessage[] = []
  try {
    for (let round = 0; ; round++) {
      const { text, calls } = await answer(model, [...messages, ...added], options, choiceOf(options, round))
      if (calls.length === 0) return text ? [...added, { role: 'assistant', content: text }] : undefined
      added.push({ role: 'assistant', content: text, tool_calls: calls }, ...(await runAll(calls, options.tools!)))
    }
  } catch (error) {
    if (error instanceof Stopped) return undefined
    throw error
  }
}

/** Thrown where Ctrl-C stops the functions that a model has called. */
class Stopped extends Error {}

/** What is asked for first holds for the first answer only: the next may be a text. */
function choiceOf({ toolChoice = 'auto' }: Replying, round: number): ToolChoice {
  if (round >= MOST_ROUNDS) return 'none'
  if (round > 0) return toolChoice === 'none' ? 'none' : 'auto'
  return toolChoice === 'auto' || toolChoice === 'none' || toolChoice === 'required'
    ? toolChoice
    : { type: 'function', function: { name: toolChoice } }
}

/** Prints one answer. Its calls count if the model has ended it. */
async function answer(model: MixtralModel, messages: readonly ChatMessage[], options: Replying, toolChoice: ToolChoice) {
  const { generation, interactive, tools } = options
  const withTools = tools ? { tools: tools.definitions, toolChoice } : {}
  let result: ChatResult | undefined
  const start = async function* (own: ChatOptions) {
    result = yield* model.streamChat(messages, { ...own, ...withTools })
    return result
  }
  const received = await receive(start, generation, streamedTo(process.stdout))
  const calls = result?.finishReason === 'tool_calls' ? result.toolCalls : []
  if (received.text || calls.length === 0) process.stdout.write('\n')
  showLogprobs(received)
  if (interactive) summarize(received)
  // Ctrl-C stops the answer only. The other signals, and a closed terminal, end the chat.
  if (received.endedBy && received.endedBy !== 'SIGINT') throw new MixtralError('ABORTED', 'interrupted')
  if (result?.folded && messages.length === 2 && messages[0]!.role === 'system')
    say('note: this model has no system role, the system message went before your first one')
  return { text: received.text, calls }
}

/** Runs calls, one after the other, and shows them. The messages with what they have returned. */
async function runAll(calls: readonly ToolCall[], tools: ToolModule): Promise<ChatMessage[]> {
  const show = (text: string) => say(text, { dim: true })
  const interrupt = onInterrupt()
  const results: ChatMessage[] = []
  try {
    for (const call of calls) {
      show(`${call.function.name}(${call.function.arguments})`)
      const content = await tools.run(call, interrupt.signal)
      show(`= ${content}`)
      results.push({ role: 'tool', tool_call_id: call.id, name: call.function.name, content })
    }
    return results
  } catch (error) {
    if (interrupt.signal.reason === 'SIGINT') throw new Stopped()
    throw error
  } finally {
    interrupt.release()
  }
}
