// 1,000 damaged files: each opens and makes sense as a model, or is refused with a MixtralError.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { encodeHeader } from '../../../dist/format/gguf/encodeHeader.js'
import { readHeader } from '../../../dist/format/gguf/readHeader.js'
import { joinShards } from '../../../dist/format/gguf/shards.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { mixtralTensors } from '../../../dist/runtime/weights/mixtralTensors.js'
import { ggufBytes, memorySource, type TinyOptions, tinyPlan } from './tinyGguf.js'

const originals = (
  [
    { layout: 'merged', version: 3 },
    { layout: 'single', version: 2, router: 'F16', tied: true },
  ] satisfies TinyOptions[]
).map((options) => {
  const plan = tinyPlan({ ...options, vocabSize: 8, layers: 1 })
  return { bytes: ggufBytes(plan), headerBytes: encodeHeader(plan).bytes.length }
})

const integers = [0n, 1n, 2n ** 16n, 2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]
interface Mutation {
  kind: 'byte' | 'cut' | 'insert' | 'remove' | 'integer'
  /** In ten thousandths of the header; of the file for `cut`. */
  where: number
  byte: number
  length: number
  integer: bigint
}
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('byte', 'byte', 'byte', 'cut', 'insert', 'remove', 'integer', 'integer', 'integer'),
  where: fc.nat(9999),
  byte: fc.nat(255),
  length: fc.integer({ min: 1, max: 16 }),
  integer: fc.constantFrom(...integers),
})

function mutate(bytes: Uint8Array, headerBytes: number, { kind, where, byte, length, integer }: Mutation) {
  const at = Math.floor((where / 10_000) * Math.min(headerBytes, bytes.length))
  if (kind === 'cut') return bytes.slice(0, Math.floor((where / 10_000) * bytes.length))
  if (kind === 'insert')
    return new Uint8Array(Buffer.concat([bytes.subarray(0, at), new Uint8Array(length).fill(byte), bytes.subarray(at)]))
  if (kind === 'remove') return new Uint8Array(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]))
  const mutated = bytes.slice()
  if (kind === 'byte') mutated[at] = byte
  else if (at + 8 <= bytes.length) new DataView(mutated.buffer).setBigUint64(at, integer, true)
  return mutated
}

test('every damaged file opens or is refused with a MixtralError', { timeout: 60_000 }, async () => {
  const outcomes = new Map<string, number>()
  let slowest = 0
  const heapBefore = process.memoryUsage().heapUsed
  let mostHeap = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...originals),
      fc.array(mutation, { minLength: 1, maxLength: 2 }),
      async ({ bytes, headerBytes }, mutations) => {
        const damaged = mutations.reduce((mutated, next) => mutate(mutated, headerBytes, next), bytes)
        const began = performance.now()
        let outcome = 'opened'
        try {
          const gguf = joinShards([await readHeader(memorySource(damaged))])
          mixtralTensors(MixtralConfig.fromGgufMetadata(gguf.metadata), gguf)
        } catch (error) {
          if (!(error instanceof MixtralError)) throw error
          outcome = error.code
        }
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        slowest = Math.max(slowest, performance.now() - began)
        mostHeap = Math.max(mostHeap, process.memoryUsage().heapUsed - heapBefore)
      },
    ),
    { numRuns: 1000, seed: 20240111, endOnFailure: true },
  )
  // The damage is of every kind: some harmless, some in the format, some in what it says of the model.
  expect([...outcomes.keys()].sort()).toEqual(expect.arrayContaining(['GGUF', 'MODEL', 'opened']))
  expect(slowest).toBeLessThan(1000) // milliseconds
  expect(mostHeap).toBeLessThan(256 * 1024 * 1024) // garbage included
})
