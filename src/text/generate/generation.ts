// One generation: the prompt, then token after token until something ends it. Owns the order of events. The engine
// computes logits, the sampler chooses a token, the decoder turns it into text.

import { MixtralError } from '../../base/errors.js'
import type { Engine } from '../../runtime/engine/engine.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import type { CheckedOptions } from './checkGenerationOptions.js'
import { type DrawnLogprob, drawnLogprob } from './tokenLogprobs.js'
import { tokenRules } from './tokenRules.js'

/**
 * New text, and the tokens since the last piece. The text is empty while a character or a possible stop string is
 * incomplete.
 */
export interface Piece {
  readonly text: string
  readonly ids: readonly number[]
  /** With the option `logprobs`: of each token drawn since the last piece, the end token too. */
  readonly logprobs?: readonly DrawnLogprob[]
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
  /** With the option `jsonSchema`: the value that the text is, unless it was cut by a limit, a stop string or one of `stopIds`. */
  readonly parsed?: unknown
  /** With the option `logprobs`: of every token drawn, the end token too. */
  readonly logprobs?: readonly DrawnLogprob[]
  readonly promptTokens: number
  /** Number of prompt tokens that were in the KV cache already. */
  readonly reusedTokens: number
  /** `stop`: an end token or a stop string. `length`: maxNewTokens. `context`: the context is full. */
  readonly finishReason: 'stop' | 'length' | 'context'
  /** The seed that repeats this generation. */
  readonly seed: number
  readonly prefillSeconds: number
  readonly decodeSeconds: number
  /** Counts of expert loading; undefined where all experts are in memory. */
  readonly experts: ExpertFigures | undefined
}

/** The answer to a conversation. */
export interface ChatResult extends GenerationResult {
  /** Whether the template has no system role, so that the system message was put before the first user message. */
  readonly folded: boolean
}

/**
 * Continues `prompt`. The caller has entered the engine. Throws `CONTEXT` if the prompt leaves no room for a token,
 * `MODEL` if a logit is not finite, `IO`, `THREAD`, `ABORTED` and `CLOSED`.
 */
export async function* generate(
  engine: Engine,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  options: CheckedOptions,
): AsyncGenerator<Piece, GenerationResult> {
  const { maxNewTokens, stops, signal, onProgress } = options
  const opens = asksForAnswer(tokenizer, prompt)
  const { sampler, endIds, banned } = await tokenRules(options, tokenizer, opens)
  const decoder = tokenizer.decoder({ continues: !opens })
  const { contextLength } = engine.plan
  if (prompt.length >= contextLength) {
    throw new MixtralError(
      'CONTEXT',
      `the prompt has ${prompt.length} tokens, the context has room for ${contextLength} including the answer`,
    )
  }
  const reusedTokens = engine.reuse(prompt)
  const before = engine.expertFigures()
  const started = performance.now()
  const call = signal ? { signal } : {}
  let logits = await engine.evaluate(prompt, { ...call, ...(onProgress && { onProgress }) })
  const prefilled = performance.now()
  const tokens = [...prompt]
  const logprobs: DrawnLogprob[] = []
  let drawn: { logprobs?: readonly DrawnLogprob[] } = {}
  sampler.read(prompt)
  let text = ''
  let finishReason: GenerationResult['finishReason'] | undefined
  let whole = false // whether the model itself ended the text
  while (!finishReason) {
    const choice = sampler.sample(logits)
    const { id } = choice
    if (options.logprobs !== undefined) {
      drawn = { logprobs: [drawnLogprob(choice, decoder, tokenizer)] }
      logprobs.push(...drawn.logprobs!)
    }
    if (endIds.has(id)) {
      finishReason = 'stop'
      whole = tokenizer.endIds.has(id)
      break
    }
    tokens.push(id)
    banned.push(decoder.bytes(id))
    const piece = stops.push(decoder.push(id))
    text += piece
    yield { text: piece, ids: [id], ...drawn }
    drawn = {}
    if (stops.stopped) finishReason = 'stop'
    else if (tokens.length - prompt.length >= maxNewTokens) finishReason = 'length'
    else if (tokens.length >= contextLength) finishReason = 'context'
    else logits = await engine.evaluate(tokens, call)
  }
  const rest = stops.push(decoder.end()) + stops.end()
  if (rest || drawn.logprobs) yield { text: rest, ids: [], ...drawn }
  return {
    text: text + rest,
    ids: tokens.slice(prompt.length),
    ...(options.constraint && 'jsonSchema' in options.constraint && whole && { parsed: JSON.parse(text + rest) }),
    ...(options.logprobs !== undefined && { logprobs }),
    promptTokens: prompt.length,
    reusedTokens,
    finishReason,
    seed: sampler.seed,
    prefillSeconds: (prefilled - started) / 1000,
    decodeSeconds: (performance.now() - prefilled) / 1000,
    experts: engine.expertFigures(before),
  }
}

/** Reads a stream to its end: the result. */
export async function finish<T>(pieces: AsyncGenerator<Piece, T>): Promise<T> {
  for (;;) {
    const { done, value } = await pieces.next()
    if (done) return value
  }
}

/**
 * Whether the prompt ends where an answer begins, and not in the middle of a text. Then the space before the first word
 * is the tokenizer's, and not part of the answer.
 */
function asksForAnswer(tokenizer: Tokenizer, prompt: readonly number[]): boolean {
  const last = prompt.at(-1)
  if (last === undefined || tokenizer.token(last).type === 'control') return true
  return tokenizer.decode(prompt.slice(-16)).trimEnd().endsWith('[/INST]')
}
