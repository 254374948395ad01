// One answer of a model: streams its text to stdout, ends it in good order on Ctrl-C, and reports its speed. Owns the
// summary line; does not know where the prompt comes from.

import { MixtralError } from '../../base/errors.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import type { GenerationOptions } from '../../text/generate/generationOptions.js'
import type { GenerationResult, Piece } from '../../text/generate/generationResult.js'
import type { DrawnLogprob, TokenLogprob } from '../../text/generate/tokenLogprobs.js'
import { expertText } from './expertText.js'
import { onInterrupt } from './interrupt.js'
import { say, speed } from './layout.js'
import { ProgressBar } from './progressBar.js'

export interface Answer {
  readonly text: string
  readonly ids: readonly number[]
  readonly logprobs: readonly DrawnLogprob[]
  /** Undefined if a signal ended the answer. */
  readonly result: GenerationResult | undefined
  /** The name of that signal. */
  readonly endedBy: string | undefined
  /** Seconds from the first token to the last. */
  readonly seconds: number
}

/**
 * Runs a generation to its end, or until Ctrl-C, and passes each piece of text to `write`.
 * @param start begins the generation with these options
 */
export async function receive(
  start: (options: GenerationOptions) => AsyncGenerator<Piece, GenerationResult>,
  options: GenerationOptions,
  write: (text: string) => void,
): Promise<Answer> {
  const bar = new ProgressBar('prompt', (tokens) => `${tokens} tokens`)
  const interrupt = onInterrupt()
  const ids: number[] = []
  const logprobs: DrawnLogprob[] = []
  let text = ''
  let first = 0
  const answer = (result?: GenerationResult, endedBy?: string) => {
    return { text, ids, logprobs, result, endedBy, seconds: first > 0 ? (performance.now() - first) / 1000 : 0 }
  }
  const onProgress = ({ loaded, total }: Progress) => bar.update(loaded, total)
  try {
    const pieces = start({ ...options, onProgress, signal: interrupt.signal })
    for (;;) {
      const next = await pieces.next()
      bar.clear()
      if (next.done) return answer(next.value)
      first ||= performance.now()
      text += next.value.text
      ids.push(...next.value.ids)
      logprobs.push(...(next.value.logprobs ?? []))
      write(next.value.text)
    }
  } catch (error) {
    bar.clear()
    if (interrupt.signal.aborted && error instanceof MixtralError && error.code === 'ABORTED')
      return answer(undefined, interrupt.signal.reason)
    throw error
  } finally {
    interrupt.release()
  }
}

/** Tokens per second of the prompt and of the answer. */
export function speeds({ promptTokens, reusedTokens, ids, finishReason, prefillSeconds, decodeSeconds }: GenerationResult) {
  // The first token comes with the prompt. Decoding makes the others, and usually an end token that is not shown.
  const decoded = finishReason === 'stop' ? ids.length : ids.length - 1
  return { prefill: (promptTokens - reusedTokens) / prefillSeconds, decode: decoded / decodeSeconds }
}

/**
 * Writes the log-probabilities that were asked for to stderr. Each token has a line, with the most likely ones behind
 * it, such as `-0.1054 " Paris"  -0.1054 " Paris"  -2.3026 " Lyon"`.
 */
export function showLogprobs({ logprobs }: Answer): void {
  const shown = ({ token, logprob }: TokenLogprob) => `${logprob.toFixed(4)} ${JSON.stringify(token)}`
  for (const drawn of logprobs) say([shown(drawn), ...drawn.top.map(shown)].join('  '))
}

/** Writes the summary line to stderr, such as `12 tokens prompt at 350 t/s, 64 tokens at 120 t/s, load 0.1 s`. */
export function summarize({ result, ids, seconds }: Answer, loadSeconds?: number): void {
  const parts: string[] = []
  if (result) {
    const { prefill, decode } = speeds(result)
    const reused = result.reusedTokens > 0 ? ` (${result.reusedTokens} known)` : ''
    parts.push(`${tokenCount(result.promptTokens)} prompt${reused}${atSpeed(prefill)}`, tokenCount(result.ids.length) + atSpeed(decode))
    if (result.experts) parts.push(expertText(result.experts, result.promptTokens - result.reusedTokens + result.ids.length))
    if (result.finishReason === 'context') parts.push('context is full')
  } else {
    parts.push('interrupted', tokenCount(ids.length) + atSpeed((ids.length - 1) / seconds))
  }
  if (loadSeconds !== undefined) parts.push(`load ${loadSeconds.toFixed(1)} s`)
  say(parts.join(', '), { dim: true })
}

const tokenCount = (count: number) => `${count} ${count === 1 ? 'token' : 'tokens'}`

/** The speed in words; empty for work that took no time, such as decoding one token, which comes with the prompt. */
const atSpeed = (rate: number) => (rate > 0 && rate < Number.POSITIVE_INFINITY ? ` at ${speed(rate)}` : '')
