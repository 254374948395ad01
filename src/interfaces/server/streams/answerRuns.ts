// The answers of one request: as many generations as it asks for, in one stream of events. Owns how many of them run at
// one time, and tells of a prompt's progress between the pieces of an answer: a long prompt is silent otherwise. Knows
// no format.

import type { Progress } from '../../../runtime/engine/engineOptions.js'
import type { GenerationResult, Piece } from '../../../text/generate/generationResult.js'
import type { ScoredToken } from '../../../text/generate/score.js'
import type { TokenRouting } from '../../../text/generate/tokenRouting.js'

/** A piece of an answer; or, before its first, the log-probabilities or the experts of its prompt. */
export interface Part extends Piece {
  readonly scored?: readonly ScoredToken[]
  readonly promptExperts?: readonly TokenRouting[]
  /** Or how much of its prompt has been computed. */
  readonly progress?: PromptProgress
}

/** As llama-server tells it: in tokens, of which `cache` were computed before. */
interface PromptProgress {
  readonly total: number
  readonly cache: number
  readonly processed: number
  readonly time_ms: number
}

/** What is told of an answer that has ended. */
export type Outcome = Answer & {
  /** What was asked for in place of a text: the embedding of the prompt. */
  readonly vector?: Float32Array
}

type Answer = Pick<
  GenerationResult,
  | 'text'
  | 'ids'
  | 'logprobs'
  | 'toolCalls'
  | 'cutCall'
  | 'promptTokens'
  | 'reusedTokens'
  | 'draftedTokens'
  | 'acceptedTokens'
  | 'finishReason'
  | 'stopText'
  | 'seed'
  | 'prefillSeconds'
  | 'decodeSeconds'
>

/** The calls of an answer; the last one may have been cut by a limit, as streams have it. */
export function callsOf({ toolCalls = [], cutCall }: Outcome): NonNullable<Outcome['toolCalls']> {
  return cutCall ? [...toolCalls, cutCall] : toolCalls
}

/** The outcome of a prompt that was only read. */
export function readOnly(promptTokens: number, prefillSeconds = 0): Outcome {
  const nothing = { text: '', ids: [], reusedTokens: 0, seed: 0, stopText: undefined, decodeSeconds: 0 }
  return { ...nothing, draftedTokens: 0, acceptedTokens: 0, promptTokens, prefillSeconds, finishReason: 'length' }
}

/** What the answers of a request have in common. */
export interface AnswerCall {
  readonly signal: AbortSignal
  /** Called when nothing is wrong with the request. */
  readonly onAccepted: () => void
  /** Answers share parts of the KV cache with those of the same salt only. */
  readonly salt?: string
  /** The tokens of an answer that is checked in place of being written. */
  readonly expected?: readonly number[]
}

/** One answer. */
export type AnswerRun = (call: AnswerCall) => AsyncGenerator<Part, Outcome>

/** An answer without pieces: what is known in the end is all of it. */
export function silentRun(work: (call: Pick<AnswerCall, 'signal' | 'salt'>) => Promise<Outcome>): AnswerRun {
  // biome-ignore lint/correctness/useYield: it has nothing to say before its end
  return async function* ({ onAccepted, expected: _, ...call }) {
    onAccepted()
    return await work(call)
  }
}

export type AnswerEvent = { readonly index: number; readonly part: Part } | { readonly index: number; readonly outcome: Outcome }

/**
 * Runs the answers, at most `width` at one time, and yields what they write as it comes. An error of one ends all. Fire
 * the signal before leaving early: a generation that is asked for its next piece cannot be left otherwise.
 */
export async function* answerEvents(runs: readonly AnswerRun[], width: number, call: AnswerCall): AsyncGenerator<AnswerEvent, Outcome[]> {
  const outcomes: Outcome[] = []
  const open = new Map<number, AsyncGenerator<Part, Outcome>>()
  const coming = new Map<number, Promise<{ index: number; result: IteratorResult<Part, Outcome> }>>()
  let begun = 0
  const ask = (index: number) => {
    const next = open
      .get(index)!
      .next()
      .then((result) => ({ index, result }))
    next.catch(() => {}) // it is told when its turn comes, or never, where the loop is left: nobody may be waiting now
    coming.set(index, next)
  }
  try {
    for (;;) {
      while (begun < runs.length && open.size < width) {
        open.set(begun, runs[begun]!(call))
        ask(begun++)
      }
      if (open.size === 0) return outcomes
      const { index, result } = await Promise.race(coming.values())
      if (result.done) {
        outcomes[index] = result.value
        open.delete(index)
        coming.delete(index)
        yield { index, outcome: result.value }
      } else {
        ask(index)
        yield { index, part: result.value }
      }
    }
  } finally {
    await Promise.all([...open.values()].map((run) => run.return(undefined as never).catch(() => {})))
    open.clear()
  }
}

/** The pieces of an answer that is begun with a listener, and before them how far its prompt has come. */
export async function* withProgress(
  begin: (onProgress: (progress: Progress) => void) => AsyncGenerator<Part, Outcome>,
): AsyncGenerator<Part, Outcome> {
  const told: PromptProgress[] = []
  const started = performance.now()
  let wake = () => {}
  const pieces = begin(({ loaded, total, reused = 0 }) => {
    told.push({ total, cache: reused, processed: loaded, time_ms: Math.round(performance.now() - started) })
    wake()
  })
  const ask = () => {
    const next = pieces.next()
    next.catch(() => {}) // it is told when its turn comes, or never, where the loop is left
    return next
  }
  try {
    let next = ask()
    for (;;) {
      const woken = new Promise<undefined>((resolve) => {
        wake = () => resolve(undefined)
      })
      const result = told.length > 0 ? undefined : await Promise.race([next, woken])
      for (const progress of told.splice(0)) yield { text: '', ids: [], progress }
      if (result?.done) return result.value
      if (!result) continue
      yield result.value
      next = ask()
    }
  } finally {
    await pieces.return(undefined as never)
  }
}
