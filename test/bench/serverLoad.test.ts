// The load bench in short: what it checks must hold, except for memory, which takes minutes.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const script = fileURLToPath(new URL('../../bench/serverLoad.mjs', import.meta.url))

test.skipIf(process.platform !== 'linux')('under load, every answer is right, and nothing is left', { timeout: 120_000 }, async () => {
  const args = [script, '--seconds', '15', '--seed', '7', '--json']
  const { stdout } = await promisify(execFile)(process.execPath, args).catch((error: { stdout: string }) => error)
  const { faults, left, counts, health } = JSON.parse(stdout)
  expect([faults, left]).toEqual([[], 0])
  for (const name of ['whole', 'left', 'garbage', 'unread']) expect(counts[name], name).toBeGreaterThan(0)
  expect(health.asked).toBeGreaterThan(0)
})
