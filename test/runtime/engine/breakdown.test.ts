// Threads that break down in the middle of a step: the call fails with THREAD, the next one is right, and a process
// that never closes its model still ends.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { setEnvironmentData } from 'node:worker_threads'
import { afterAll, describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-breakdown-'))
afterAll(() => rmSync(folder, { recursive: true }))

const prompt = '[INST] Who are you? [/INST]'
const answer = 'I am a tiny mixture of experts. I have eight experts in every layer, and two of them work on each word.'

/** Enough for a tiny model, and soon used up. */
const HEAP = '--max-old-space-size=64'

type Ended = string | { readonly code: string; readonly message: string }

interface Breakdown {
  /** A list if several calls ran together. */
  readonly ended: Ended | readonly Ended[]
  readonly next: string
}

/**
 * Makes a thread break down after a number of operations on shared memory, in a process of its own that must end by
 * itself.
 */
async function breakDown(worker: string, threads: number, after: readonly number[], together = 1): Promise<Breakdown[]> {
  const script = fileURLToPath(new URL('breakDown.mjs', import.meta.url))
  const env = { ...process.env, MIXTRAL_TEST_BREAKDOWN: join(folder, `order-${worker}-${threads}`) }
  const args = [HEAP, script, JSON.stringify({ worker, threads, after, prompt, together })]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 40_000, killSignal: 'SIGKILL' })
  return JSON.parse(stdout)
}

const workers = [
  ['throws', 'throws.js', 'a bug in a worker'],
  ['exits', 'exits.js', 'exited with code: 3'],
  ['runs out of memory', 'hoards.js', 'memory limit'],
] as const

const failure = (message: string) => ({
  code: 'THREAD',
  message: expect.stringMatching(`^a worker thread ended in mid-step: .*${message}`),
})

describe.each(workers)('a thread that %s', (_, worker, message) => {
  // The first operations are in the prompt, the last ones some tokens later.
  test.each([
    [1, [400]],
    [3, [20, 3000]],
  ])(
    'fails the call of a team of %i, and the next one writes the right text',
    async (threads, after) => {
      for (const { ended, next } of await breakDown(worker, threads, after)) {
        expect(ended).toEqual(failure(message))
        expect(next).toBe(answer)
      }
    },
    45_000,
  )
})

test.each(workers.slice(0, 2))(
  'a thread that %s in a step that calls share fails none of them',
  async (_, worker) => {
    for (const { ended, next } of await breakDown(worker, 3, [2000, 3500], 3)) {
      expect(ended).toEqual([answer, answer, answer])
      expect(next).toBe(answer)
    }
  },
  45_000,
)

// Not for the one that runs out of memory: a heap as large as this process's takes too long to fill.
test.each(workers.slice(0, 2))('a thread that %s in mid-load fails the load', async (_, worker, message) => {
  const order = join(folder, `load-${worker}`)
  setEnvironmentData('breakdown', order)
  const href = new URL(`workers/${worker}`, import.meta.url).href
  writeFileSync(order, '40')
  await expect(MixtralModel.load('demo', { threads: 2, worker: href })).rejects.toMatchObject(failure(message))
  await using model = await MixtralModel.load('demo', { threads: 2, worker: href })
  expect((await model.generate(prompt, { temperature: 0 })).text).toBe(answer)
})

test('a break in the middle of a step leaves nothing of it in the cache', async () => {
  const order = join(folder, 'cache')
  setEnvironmentData('breakdown', order)
  await using model = await MixtralModel.load('demo', {
    threads: 2,
    batchSize: 4,
    worker: new URL('workers/throws.js', import.meta.url).href,
  })
  const ids = model.tokenizer.encodePrompt('[INST] What is the capital of France? [/INST]')
  const right = await model.evaluate(ids)
  for (const after of [10, 100, 300]) {
    await model.evaluate(ids.slice(0, 3))
    writeFileSync(order, String(after))
    await expect(model.evaluate([...ids.slice(0, 5), ...ids.toReversed()])).rejects.toMatchObject({ code: 'THREAD' })
    expect(await model.evaluate(ids)).toEqual(right)
  }
})

test('a worker that cannot start fails the load', async () => {
  const worker = new URL('../team/workers/throwsAtStart.js', import.meta.url).href
  await expect(MixtralModel.load('demo', { threads: 2, worker })).rejects.toMatchObject({ code: 'THREAD' })
})
