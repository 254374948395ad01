// Tells of a prompt's progress between the pieces of an answer: a long prompt is silent otherwise.

import type { Progress } from '../../../runtime/engine/engineOptions.js'
import type { Outcome, Part, PromptProgress } from './answerRuns.js'

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
