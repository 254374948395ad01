// A step loop with a runner that only pretends to compute: the most likely token is the last one's successor. Not a
// test.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import type { Task } from '../../../dist/runtime/engine/request.js'
import { Scheduler } from '../../../dist/runtime/engine/scheduler.js'
import { StepCost } from '../../../dist/runtime/engine/stepCost.js'
import { StepLoop } from '../../../dist/runtime/engine/stepLoop.js'
import type { Runner } from '../../../dist/runtime/engine/stepResults.js'
import type { Rows } from '../../../dist/runtime/engine/stepRows.js'
import { Sampler } from '../../../dist/runtime/sampler/sampler.js'
import { PAGE_POSITIONS } from '../../../dist/runtime/weights/pages.js'

export const VOCABULARY = 50

/** After it, logits are not finite, unless a test has another one. */
export const POISON = 45

/** The most likely token is the last one's successor. */
function logitsAfter(id: number, poison: number): Float32Array {
  const row = new Float32Array(VOCABULARY)
  if (id === poison) row[7] = Number.NaN
  row[(id + 1) % VOCABULARY] = 9
  return row
}

export interface Pretended {
  readonly loop: StepLoop
  readonly scheduler: Scheduler
  readonly steps: Rows[]
}

const noExperts = { ids: new Uint16Array(0), weights: new Float32Array(0), logits: new Float32Array(0) }

interface Pretense {
  readonly drafts?: boolean
  readonly pages?: number
  readonly poison?: number
  /** Gets the tokens of the rows that are counted. */
  readonly uses?: number[]
}

/** before: called with each step, which it may hold up or let fail. */
export function start(
  before: (rows: Rows, signal: AbortSignal) => Promise<void> | void = () => {},
  sequences = 4,
  { drafts, pages = 20, poison = POISON, uses = [] }: Pretense = {},
): Pretended {
  const scheduler = new Scheduler({ sequences, batchSize: 64, kvTokens: pages * PAGE_POSITIONS, pairs: 128, expertsPerToken: 2 })
  const steps: Rows[] = []
  let rows: Rows | undefined
  const runner: Runner = {
    async run(next, signal) {
      steps.push(next)
      await sleep(0)
      await before(next, signal)
      if (signal.aborted) throw new MixtralError('ABORTED', 'the call was aborted')
      rows = next
      return []
    },
    choice: () => expect.unreachable(),
    routing: () => noExperts,
    routingView: () => noExperts,
    copyRouting: () => {},
    hidden: (row) => Float32Array.of(rows!.tokens[row]!),
    countUses: (row, count) => uses.push(...rows!.tokens.slice(row, row + count)),
    logits: (row) => logitsAfter(rows!.tokens[rows!.wanted[row]!]!, poison),
  }
  const loop = new StepLoop(scheduler, new StepCost(undefined), runner, drafts)
  return { loop, scheduler, steps }
}

/** Writes `count` tokens after a prompt. */
export function write({ loop }: Pretended, prompt: readonly number[], count: number, task: Partial<Task> = {}, signal?: AbortSignal) {
  const sampler = new Sampler({ temperature: 0 })
  const ids: number[] = []
  const ended = new Promise<number[]>((resolve, reject) => {
    loop.submit(
      {
        ids: prompt,
        from: prompt.length - 1,
        job: () => sampler.job(),
        take(choice) {
          const id = sampler.take(choice)
          ids.push(id)
          return ids.length < count ? [id] : []
        },
        ended: (error) => (error ? reject(error) : resolve(ids)),
        ...task,
      },
      signal,
    )
  })
  return ended
}

export const textAfter = (id: number, count: number) => Array.from({ length: count }, (_, i) => (id + 1 + i) % VOCABULARY)

/** Expects that nothing runs and every page is free or in the tree. */
export async function idle({ scheduler }: Pretended): Promise<void> {
  await expect.poll(() => scheduler.requests).toEqual([])
  expect(scheduler.cache.sequences).toBe(0)
  expect(scheduler.cache.available).toBe(scheduler.cache.pages)
}
