// A short run of the random test; `npm run test:random` makes long ones, in every runtime.

import { expect, test } from 'vitest'
import { runRounds } from './rounds.mjs'

test('random calls at the same time give what they give on fresh models', { timeout: 120_000 }, async () => {
  const { equal, wrong } = await runRounds({ seed: 1, until: Date.now() + 60_000, most: 4, cases: 12 })
  expect(wrong).toEqual([])
  expect(equal).toBeGreaterThan(3)
})
