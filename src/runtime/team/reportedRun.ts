// A command of a team that takes long: how far it is, told ten times a second, and two ways to end it early.

import { onAbort } from '../../base/onAbort.js'
import type { Team } from './team.js'

interface Reported {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: { loaded: number; total: number }) => void) | undefined
}

/**
 * Runs a command whose threads make `total` of progress. Throws what `Team.run` throws, and what `onProgress` throws:
 * that ends the command, too.
 */
export async function runReported(team: Team, command: number, total: number, { signal, onProgress }: Reported): Promise<void> {
  const stop = new AbortController()
  let failed = false
  // what a timer throws, no caller catches
  const report = () => {
    try {
      onProgress?.({ loaded: Math.min(total, team.progress), total })
    } catch (error) {
      failed = true
      stop.abort(error)
    }
  }
  const timer = onProgress && setInterval(report, 100)
  const forget = onAbort(signal, () => stop.abort(signal?.reason))
  try {
    await team.run(command, stop.signal).catch((error: Error) => {
      throw failed ? stop.signal.reason : error
    })
  } finally {
    forget()
    clearInterval(timer)
  }
}
