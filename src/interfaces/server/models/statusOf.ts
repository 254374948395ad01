// What several models do at a moment, as one.

import type { EngineStatus } from '../../../runtime/engine/status.js'

/** @param before steps of models that are not in memory any more: the count of all never falls */
export function statusOf(all: readonly EngineStatus[], sequences: number, before: number): EngineStatus {
  const sum = (of: (one: EngineStatus) => number) => all.reduce((sum, one) => sum + of(one), 0)
  const most = (of: (one: EngineStatus) => number) => all.reduce((most, one) => Math.max(most, of(one)), 0)
  return {
    sequences,
    running: sum(({ running }) => running),
    waiting: sum(({ waiting }) => waiting),
    suspended: sum(({ suspended }) => suspended),
    kvTokens: sum(({ kvTokens }) => kvTokens),
    kvFree: sum(({ kvFree }) => kvFree),
    prefixTokens: sum(({ prefixTokens }) => prefixTokens),
    steps: before + sum(({ steps }) => steps),
    rowsPerStep: most(({ rowsPerStep }) => rowsPerStep),
    stepMs: most(({ stepMs }) => stepMs),
  }
}
