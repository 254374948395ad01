// A process whose model was never closed ends by itself, whatever was done with the model.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test.each([
  ['was loaded', 'loaded', ''],
  ['has written', 'generated', 'I am a tiny mixture\n'],
  ['was aborted while loading', 'abortedLoad', 'ABORTED\n'],
  ['could not be loaded', 'refusedLoad', 'THREAD\n'],
  ['was aborted in its prompt', 'abortedPrompt', 'ABORTED\n'],
  ['was aborted in its text', 'abortedText', 'ABORTED\n'],
  ['was left in the middle of a stream', 'leftStream', ''],
  ['has a stream that nobody reads on', 'forgottenStream', ''],
  ['was closed in mid-call', 'closedInMidCall', 'CLOSED\n'],
])(
  'a process whose model %s ends by itself',
  async (_, way, output) => {
    const script = fileURLToPath(new URL('endings.mjs', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [script, way], { timeout: 15_000, killSignal: 'SIGKILL' })
    expect(stdout).toBe(`${output}end\n`)
  },
  20_000,
)
