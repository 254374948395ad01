// An answer as LangChain's messages: its pieces as chunks, its whole as a message, its errors as LangChain's. Owns what
// a message tells beside its text.

import { ContextOverflowError, ModelAbortError, stampRetryable } from '@langchain/core/errors'
import {
  AIMessage,
  AIMessageChunk,
  type AIMessageChunkFields,
  type AIMessageFields,
  type InvalidToolCall,
  type UsageMetadata,
} from '@langchain/core/messages'
import { ChatGenerationChunk } from '@langchain/core/outputs'
import { MixtralError } from '../../../base/errors.js'
import type { ChatResult, Piece } from '../../../text/generate/generationResult.js'
import { chatLogprob } from '../../server/openai/logprobs.js'
import type { RoutedList } from '../../server/openai/routedExperts.js'

/**
 * A chunk of an answer, and a sum of them. LangChain reads of a call that a limit has cut what there is, and an agent
 * would run it: in a sum that has its end, it is an invalid one, as in a whole message.
 */
class AnswerChunk extends AIMessageChunk {
  constructor(fields: AIMessageChunkFields) {
    super(fields)
    const { cut_call: cut } = this.response_metadata as { readonly cut_call?: CutCall }
    if (!cut) return
    this.tool_calls = this.tool_calls?.filter(({ id }) => id !== cut.id) ?? []
    this.invalid_tool_calls = [...(this.invalid_tool_calls ?? []).filter(({ id }) => id !== cut.id), invalidCall(cut)]
  }

  /** Stored, it is LangChain's own, by which anybody can load it. */
  override get lc_id(): string[] {
    return [...this.lc_namespace, 'AIMessageChunk']
  }
}

/** The chunks that a piece adds: none while its text is incomplete. */
export function pieceChunks({ text, toolCalls = [] }: Piece): ChatGenerationChunk[] {
  const texts = text === '' ? [] : [new ChatGenerationChunk({ text, message: new AnswerChunk({ content: text }) })]
  const calls = toolCalls.map(({ index, id, function: { name, arguments: args } }) => {
    // Blocks of a message have one count: 0 is the text.
    const chunk = {
      type: 'tool_call_chunk' as const,
      index: index + 1,
      args,
      ...(id !== undefined && { id }),
      ...(name !== undefined && { name }),
    }
    return new ChatGenerationChunk({ text: '', message: new AnswerChunk({ content: '', tool_call_chunks: [chunk] }) })
  })
  return [...texts, ...calls]
}

/** The chunk behind the last piece. Chunks are added up, so what is told once is told here alone. */
export function lastChunk(result: ChatResult, name: string, routed: RoutedList | undefined): ChatGenerationChunk {
  const message = new AnswerChunk({ content: '', ...toldBeside(result, name, routed) })
  return new ChatGenerationChunk({ text: '', message, generationInfo: { finish_reason: finishReason(result) } })
}

/** The message of a whole answer. A call that a limit has cut is an invalid one. */
export function wholeMessage(result: ChatResult, name: string, routed: RoutedList | undefined): AIMessage {
  const { text, toolCalls, cutCall } = result
  return new AIMessage({
    content: text,
    tool_calls: toolCalls.map(({ id, function: called }) => {
      return { type: 'tool_call' as const, id, name: called.name, args: JSON.parse(called.arguments) as Record<string, unknown> }
    }),
    ...(cutCall && { invalid_tool_calls: [invalidCall(cutOf(cutCall))] }),
    ...toldBeside(result, name, routed),
  })
}

/** By its type, with exact optional properties, a message's usage can only be undefined. */
function toldBeside(result: ChatResult, name: string, routed: RoutedList | undefined) {
  const told = { usage_metadata: usageOf(result), response_metadata: metadataOf(result, name, routed) }
  return told as unknown as Pick<AIMessageFields, 'usage_metadata' | 'response_metadata'>
}

/** A call without its end. */
type CutCall = Readonly<Record<'id' | 'name' | 'args', string>>

function cutOf({ id, function: { name, arguments: args } }: NonNullable<ChatResult['cutCall']>): CutCall {
  return { id, name, args }
}

function invalidCall(cut: CutCall): InvalidToolCall {
  return { type: 'invalid_tool_call', ...cut, error: 'the answer has come to its limit' }
}

export function usageOf({ promptTokens, reusedTokens, ids }: ChatResult): UsageMetadata {
  return {
    input_tokens: promptTokens,
    output_tokens: ids.length,
    total_tokens: promptTokens + ids.length,
    input_token_details: { cache_read: reusedTokens },
  }
}

/** As in the OpenAI API, which has one word for a token limit and a full context. */
export function finishReason({ finishReason }: ChatResult): string {
  return finishReason === 'context' ? 'length' : finishReason
}

function metadataOf(result: ChatResult, name: string, routed: RoutedList | undefined): Record<string, unknown> {
  const { seed, stopText, prefillSeconds, decodeSeconds, logprobs, cutCall } = result
  return {
    model_provider: 'mixtral-wasm',
    model_name: name,
    finish_reason: finishReason(result),
    seed,
    prefill_seconds: prefillSeconds,
    decode_seconds: decodeSeconds,
    ...(stopText !== undefined && { stop_text: stopText }),
    ...(cutCall && { cut_call: cutOf(cutCall) }),
    ...(logprobs && { logprobs: { content: logprobs.map(chatLogprob) } }),
    ...routed?.take(),
  }
}

/**
 * LangChain's error where it has one, with ours as its cause; else ours, marked with whether another attempt is worth
 * its time: a file may be there again, all else fails as before.
 */
export function langchainError(error: unknown): unknown {
  if (!(error instanceof MixtralError)) return error
  if (error.code === 'CONTEXT') return ContextOverflowError.fromError(error)
  if (error.code !== 'ABORTED') return stampRetryable(error, error.code === 'IO')
  const { partial } = error
  return Object.assign(new ModelAbortError(error.message, partial && new AIMessageChunk({ content: partial.text })), { cause: error })
}
