// One answer of a model: streams its text to stdout, ends it in good order on Ctrl-C, and reports its speed. Owns the
// summary line; does not know where the prompt comes from.

import { MixtralError } from '../../base/errors.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import type { GenerationOptions } from '../../text/generate/generationOptions.js'
import type { GenerationResult, Piece } from '../../text/generate/generationResult.js'
import type { DrawnLogprob, TokenLogprob } from '../../text/generate/tokenLogprobs.js'
import { onInterrupt } from './interrupt.js'
import { columns, say, speed, widthOf } from './layout.js'
import { expertText } from './loading.js'
import { ProgressLine } from './progressLine.js'
import { visibleWidth } from './wordWrap.js'

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
 * @param quiet whether a log gets no line about a long prompt
 */
export async function receive(
  start: (options: GenerationOptions) => AsyncGenerator<Piece, GenerationResult>,
  options: GenerationOptions,
  write: (text: string) => void,
  quiet = false,
): Promise<Answer> {
  const bar = new ProgressLine('prompt', { unit: 'tokens', quiet })
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
 * Writes the log-probabilities that were asked for to stderr, in columns. Each token has a line, or in a narrow
 * terminal several, with the most likely ones behind it, such as `-0.1054  " I"  -0.1054  " I"  -2.3026  " We"`.
 */
export function showLogprobs({ logprobs }: Answer): void {
  if (logprobs.length === 0) return
  const cells = ({ token, logprob }: TokenLogprob) => [logprob.toFixed(4), JSON.stringify(token)]
  const most = Math.max(...logprobs.map(({ top }) => top.length))
  for (let perLine = most; ; perLine--) {
    const rows = logprobs.flatMap((drawn) => rowsOf(cells(drawn), drawn.top.map(cells), Math.max(1, perLine)))
    const right = Array.from({ length: perLine + 1 }, (_, i) => 2 * i)
    const lines = columns(rows, right).trimEnd().split('\n')
    if (perLine > 1 && Math.max(...lines.map(visibleWidth)) > widthOf(process.stderr)) continue
    for (const line of lines) say(line)
    return
  }
}

/** The cells of a token and of the others, at most `perLine` of the others in a row. */
function rowsOf(first: readonly string[], others: readonly (readonly string[])[], perLine: number): string[][] {
  const rows: string[][] = []
  for (let at = 0; at === 0 || at < others.length; at += perLine) {
    rows.push([...(at === 0 ? first : ['', '']), ...others.slice(at, at + perLine).flat()])
  }
  return rows
}

/**
 * Writes the summary line to stderr, such as `prompt 12 tokens, 350 tokens/s; answer 64 tokens, 120 tokens/s; loaded in
 * 0.1 s`.
 */
export function summarize({ result, ids, seconds }: Answer, loadSeconds?: number): void {
  const parts: string[] = []
  if (result) {
    const { prefill, decode } = speeds(result)
    const reused = result.reusedTokens > 0 ? ` (${result.reusedTokens} known)` : ''
    parts.push(`prompt ${tokenCount(result.promptTokens)}${reused}${atSpeed(prefill)}`)
    parts.push(`answer ${tokenCount(result.ids.length)}${atSpeed(decode)}`)
    if (result.experts) parts.push(expertText(result.experts, result.promptTokens - result.reusedTokens + result.ids.length))
    if (result.finishReason === 'context') parts.push('the context is full')
  } else {
    parts.push('interrupted', `answer ${tokenCount(ids.length)}${atSpeed((ids.length - 1) / seconds)}`)
  }
  if (loadSeconds !== undefined) parts.push(`loaded in ${loadSeconds.toFixed(1)} s`)
  say(parts.join('; '), { dim: true })
}

const tokenCount = (count: number) => `${count} ${count === 1 ? 'token' : 'tokens'}`

/** The speed in words; empty for work that took no time, such as decoding one token, which comes with the prompt. */
const atSpeed = (rate: number) => (rate > 0 && rate < Number.POSITIVE_INFINITY ? `, ${speed(rate)}` : '')
