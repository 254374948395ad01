import { expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { roomyKvTokens } from '../../../dist/interfaces/inspect/kvTokens.js'
import { factsOf } from '../../../dist/interfaces/inspect/modelFacts.js'
import { compileKernels } from '../../../dist/runtime/kernels/compile.js'
import { demoPath } from '../../runtime/model/demoFiles.js'

const { build } = await compileKernels()
const gguf = await openGguf(demoPath())
const load = { threads: 1 }
/** Bytes that the demo takes with a KV cache of so many contexts. */
const bytes = (contexts: number) => factsOf(gguf, { build, options: { ...load, kvTokens: contexts * 512 } }).needs!.memoryBytes

test.each([
  ['there is room', Number.MAX_SAFE_INTEGER, 8, 8],
  ['there is just room', bytes(8), 8, 8],
  ['there is room for half of them', bytes(8) - 1, 8, 4],
  ['there is room for one', bytes(1), 8, 1],
  ['there is no room for all experts', bytes(1) - 1_000_000, 8, 1],
  ['there is one answer at a time', Number.MAX_SAFE_INTEGER, 1, 1],
])('%s: so many contexts, and no expert leaves memory for them', (_, ram, sequences, contexts) => {
  const options = { ...load, ram }
  const kvTokens = roomyKvTokens(gguf, { build, options }, sequences)!
  expect(kvTokens).toBe(contexts * 512)
  const slots = (kvTokens: number) => factsOf(gguf, { build, options: { ...options, kvTokens } }).fit!.slots
  expect(slots(kvTokens)).toBe(slots(512))
})

test('a context of its own counts, and the largest cache is as large as loading takes', () => {
  expect(roomyKvTokens(gguf, { build, options: { ...load, contextLength: 100, ram: Number.MAX_SAFE_INTEGER } }, 3)).toBe(300)
  expect(roomyKvTokens(gguf, { build, options: { ...load, ram: 2 ** 50 } }, 100_000)).toBeLessThanOrEqual(2 ** 24)
})
