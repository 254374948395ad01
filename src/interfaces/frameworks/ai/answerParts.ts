// An answer as the AI SDK takes it: the parts of a stream, and what its end tells. Owns where a text and a call begin
// and end.

import type {
  JSONObject,
  LanguageModelV3FinishReason,
  LanguageModelV3StreamPart,
  LanguageModelV3ToolCall,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
} from '@ai-sdk/provider'
import type { AnswerStream, ChatResult, Piece } from '../../../text/generate/generationResult.js'
import type { ToolCall, ToolCallDelta } from '../../../text/tools/toolCalls.js'
import { chatLogprob } from '../../server/openai/logprobs.js'
import { RoutedList } from '../../server/openai/routedExperts.js'
import { PROVIDER } from './callOptions.js'

const TEXT = 'text'

type Part = LanguageModelV3StreamPart

/** Makes parts of pieces. */
export class AnswerParts {
  readonly #routed: RoutedList | undefined
  #inText = false
  /** The call that is being written. */
  #call: { readonly id: string; readonly name: string; text: string } | undefined

  /** @param layers of a model whose experts are asked for */
  constructor(layers: number | undefined) {
    this.#routed = layers === undefined ? undefined : new RoutedList(layers)
  }

  /** The parts that a piece adds. */
  add({ text, toolCalls = [], experts }: Piece): Part[] {
    this.#routed?.add(experts)
    const parts: Part[] = []
    if (text !== '') {
      if (!this.#inText) parts.push({ type: 'text-start', id: TEXT })
      this.#inText = true
      parts.push({ type: 'text-delta', id: TEXT, delta: text })
    }
    for (const call of toolCalls) parts.push(...this.#addCall(call))
    return parts
  }

  /** The parts behind the last piece. A call that a limit has cut is none: the SDK would have it answered. */
  end(result: ChatResult): Part[] {
    const isCut = result.cutCall !== undefined
    return [...this.#endText(), ...this.#endCall(isCut), { type: 'finish', ...this.outcome(result) }]
  }

  /** The parts of an answer that an error ends. */
  fail(error: unknown): Part[] {
    const unknown = { total: undefined, text: undefined, reasoning: undefined }
    const usage = {
      inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
      outputTokens: unknown,
    }
    return [...this.#endText(), { type: 'error', error }, { type: 'finish', usage, finishReason: { unified: 'error', raw: undefined } }]
  }

  /** What is told of a whole answer. */
  outcome(result: ChatResult) {
    return { finishReason: finishReason(result), usage: usageOf(result), providerMetadata: this.#metadata(result) }
  }

  #addCall({ id, function: { name, arguments: delta } }: ToolCallDelta): Part[] {
    const parts: Part[] = []
    if (id !== undefined && name !== undefined) {
      parts.push(...this.#endText(), ...this.#endCall(false), { type: 'tool-input-start', id, toolName: name })
      this.#call = { id, name, text: '' }
    }
    const call = this.#call!
    call.text += delta
    if (delta !== '') parts.push({ type: 'tool-input-delta', id: call.id, delta })
    return parts
  }

  #endText(): Part[] {
    if (!this.#inText) return []
    this.#inText = false
    return [{ type: 'text-end', id: TEXT }]
  }

  #endCall(isCut: boolean): Part[] {
    if (!this.#call) return []
    const { id, name, text } = this.#call
    this.#call = undefined
    const whole: Part[] = isCut ? [] : [toolCallPart({ id, type: 'function', function: { name, arguments: text } })]
    return [{ type: 'tool-input-end', id }, ...whole]
  }

  #metadata({ seed, stopText, folded, prefillSeconds, decodeSeconds, logprobs, cutCall }: ChatResult): SharedV3ProviderMetadata {
    const told = { seed, folded, prefillSeconds, decodeSeconds, ...(stopText !== undefined && { stopText }) }
    const more = { ...(logprobs && { logprobs: logprobs.map(chatLogprob) }), ...(cutCall && { cutCall }), ...this.#routed?.take() }
    return { [PROVIDER]: { ...told, ...more } as unknown as JSONObject }
  }
}

export function toolCallPart({ id, function: { name, arguments: input } }: ToolCall): LanguageModelV3ToolCall {
  return { type: 'tool-call', toolCallId: id, toolName: name, input }
}

/** Reads an answer to its end. `told` is given each piece. */
export async function readAnswer(answer: AnswerStream<ChatResult>, told: (piece: Piece) => void): Promise<ChatResult> {
  for (;;) {
    const { done, value } = await answer.next()
    if (done) return value
    told(value)
  }
}

/** The SDK has one word for a token limit and a full context. */
function finishReason({ finishReason: raw }: ChatResult): LanguageModelV3FinishReason {
  const unified = ({ stop: 'stop', length: 'length', context: 'length', tool_calls: 'tool-calls' } as const)[raw]
  return { unified, raw }
}

function usageOf({ promptTokens: total, reusedTokens: cacheRead, ids }: ChatResult): LanguageModelV3Usage {
  return {
    inputTokens: { total, noCache: total - cacheRead, cacheRead, cacheWrite: undefined },
    outputTokens: { total: ids.length, text: ids.length, reasoning: 0 },
  }
}
