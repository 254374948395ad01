// The options of one generation and of a chat, as a caller gives them. Sampling's own are the sampler's; ranges, help
// texts and names elsewhere are generationTable.ts's.

import type { TokenIds } from '../../runtime/engine/callArguments.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import type { SamplerOptions } from '../../runtime/sampler/samplerOptions.js'
import type { ToolOptions } from '../tools/toolDefinitions.js'

/**
 * What to add to the logits of tokens, `false` to forbid them: by id, or pairs, in which a text stands for each of its
 * tokens.
 */
export type LogitBias = Readonly<Record<number, number | false>> | readonly (readonly [token: number | string, bias: number | false])[]

/** The options that are not the sampler's. */
export interface TextOptions {
  /** Most tokens to write. Default: until the context is full. */
  readonly maxNewTokens?: number
  /** Stop strings: the text ends before the first of them. */
  readonly stop?: string | readonly string[]
  /** Tokens that end the text beside the model's own end tokens. They are left out of it. */
  readonly stopIds?: TokenIds
  /** No end token comes before there are this many tokens. Default 0. */
  readonly minTokens?: number
  /** The model's end tokens never come. Default false. */
  readonly ignoreEos?: boolean
  /** The text never has one of these in it, in this spelling. */
  readonly bannedWords?: string | readonly string[]
  /** Makes tokens more or less likely. */
  readonly logitBias?: LogitBias
  /**
   * The text follows a grammar in GBNF, llama.cpp's notation. At most one of grammar, jsonSchema and regex may be
   * given. A text that is cut by `maxNewTokens` or the context is only the beginning of one that follows it.
   */
  readonly grammar?: string
  /** The text is JSON that this schema allows, see docs/constraints.md; the result has it as `parsed`. */
  readonly jsonSchema?: object | boolean
  /** The whole text matches this regular expression, an ECMAScript pattern without flags. */
  readonly regex?: string
  /**
   * Report the log-probability of each token, and those of this many of the most likely in its place: 0 to 20. Default:
   * none.
   */
  readonly logprobs?: number
  /**
   * Report log-probabilities after all samplers, among the tokens that were left. Default false: those of the model.
   */
  readonly postSampling?: boolean
  /**
   * How many experts each token has in a layer, 1 to all; their weights are renormalized. Default: the model's own
   * number, for which it was trained. Calls with another number share no part of the KV cache.
   */
  readonly expertsPerToken?: number
}

export interface GenerationOptions extends TextOptions, SamplerOptions {
  /**
   * How many answers, 1 to 128, are written at the same time. Their prompt is computed once. The i-th has the first's
   * seed plus i, which writes it alone. The result has all as `choices`, pieces have an `index`. A session has one
   * answer. Default 1.
   */
  readonly n?: number
  /** Report the experts that wrote each token. Default false. */
  readonly experts?: boolean
  /**
   * How much of each adapter of the model counts, in their order; 0, or no number, is none of it. Default: as the model
   * was loaded.
   */
  readonly adapters?: readonly number[]
  /** Calls share no part of the KV cache with calls of another salt: hits show in timing. Default: none. */
  readonly salt?: string
  /** Ends the call with an `ABORTED` error. */
  readonly signal?: AbortSignal
  /**
   * Called once, when options and prompt have been checked: what fails later fails in a step. A server answers then
   * that it has begun.
   */
  readonly onAccepted?: () => void
  /**
   * The tokens of an answer that was written with the same prompt, options and seed: they are checked in one pass, and
   * not written again. The result is that of writing them. Where another token should stand, the call ends with
   * `OPTION`, which names the place. With `n` 1 only.
   */
  readonly expected?: TokenIds
  /** Called after each step of the prompt: how many of its tokens are in the KV cache, those reused included. */
  readonly onProgress?: (progress: Progress) => void
}

/** The original name of `GenerationOptions`. */
export type GenerationConfig = GenerationOptions

/** `grammar` and `regex` cannot be asked for beside tools. With `jsonSchema`, an answer that is a text follows it. */
export interface ChatOptions extends GenerationOptions, ToolOptions {}

export interface ChatTemplateOptions extends Pick<ToolOptions, 'tools'> {
  /**
   * Whether the prompt asks for an answer. Default true; if the last message is the assistant's, the prompt then ends
   * with its text. False: a conversation that is over.
   */
  readonly addGenerationPrompt?: boolean
}
