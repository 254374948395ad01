// What a generation gives: pieces while it writes, and a result in the end.

import type { Routing } from '../../runtime/model/routes.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import type { ToolCall, ToolCallDelta } from '../tools/toolCalls.js'
import type { DrawnLogprob } from './tokenLogprobs.js'

/**
 * New text, and the tokens since the last piece. The text is empty while a character or a possible stop string is
 * incomplete.
 */
export interface Piece {
  readonly text: string
  /** With the option `n` above 1: which of the answers the piece belongs to, counted from 0. */
  readonly index?: number
  readonly ids: readonly number[]
  /** With the option `logprobs`: of each token drawn since the last piece, the end token too. */
  readonly logprobs?: readonly DrawnLogprob[]
  /** With the option `experts`: of each token drawn since the last piece the experts that wrote it. */
  readonly experts?: readonly Routing[]
  /** In a chat with `tools`: what has been added to calls. All parts of a call together are the call. */
  readonly toolCalls?: readonly ToolCallDelta[]
}

/** What a generation wrote, and how it went. */
export interface GenerationResult {
  /**
   * The new text, cut before a stop string. It begins with a space where it continues the prompt's last word or
   * sentence, but not where it answers `[/INST]`.
   */
  readonly text: string
  /** All tokens written, without an end token. */
  readonly ids: readonly number[]
  /**
   * With the option `jsonSchema`: the value that the text is, unless it was cut by a limit, a stop string or one of
   * `stopIds`.
   */
  readonly parsed?: unknown
  /** With the option `logprobs`: of every token drawn, the end token too. */
  readonly logprobs?: readonly DrawnLogprob[]
  /**
   * In a chat with `tools`: the calls that the model asks for, whole ones only; empty for none. `text` is then what it
   * wrote before them.
   */
  readonly toolCalls?: readonly ToolCall[]
  /** In a chat with `tools`: a call that a limit has cut, as pieces had it. Its arguments are the beginning of JSON. */
  readonly cutCall?: ToolCall
  readonly promptTokens: number
  /** Number of prompt tokens that were in the KV cache already, of any earlier call. */
  readonly reusedTokens: number
  /** Tokens that ran as drafts, before it was known whether they come. What is written is the same without. */
  readonly draftedTokens: number
  /** Of these, those that came. */
  readonly acceptedTokens: number
  /**
   * `stop`: an end token or a stop string. `length`: maxNewTokens. `context`: the context is full. `tool_calls`, in a
   * chat with `tools`: the model has asked for calls and waits for what they return.
   */
  readonly finishReason: 'stop' | 'length' | 'context' | 'tool_calls'
  /** The stop string that ended the text; undefined where something else did, such as an end token. */
  readonly stopText: string | undefined
  /** The seed that repeats this generation. */
  readonly seed: number
  readonly prefillSeconds: number
  readonly decodeSeconds: number
  /** With the option `n` above 1: all answers in their order. The first is this result, without `choices`. */
  readonly choices?: readonly GenerationResult[]
  /** Counts of expert loading, for all calls that ran meanwhile; undefined where all experts are in memory. */
  readonly experts: ExpertFigures | undefined
}

/**
 * The pieces of an answer as they come, for a `for await` loop. Leaving the loop ends the generation, and so does a
 * garbage collection of a stream that nobody holds.
 */
export interface AnswerStream<Result extends GenerationResult = GenerationResult> extends AsyncGenerator<Piece, Result> {
  /**
   * The whole result. Asking for it reads the stream to its end, and keeps the pieces for a loop that reads them, then
   * or later. Rejects with what ends the stream, and with `ABORTED` if a loop leaves it.
   */
  readonly result: Promise<Result>
}

/** The answer to a conversation. */
export interface ChatResult extends GenerationResult {
  /** Whether the template has no system role, so that the system message was put before the first user message. */
  readonly folded: boolean
  readonly toolCalls: readonly ToolCall[]
  readonly choices?: readonly ChatResult[]
}
