// Headers that say little and want much: reading one never holds more than twice its bytes and a constant.

import v8 from 'node:v8'
import vm from 'node:vm'
import { expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { readHeader } from '../../../dist/format/gguf/readHeader.js'
import { info, join, start, text, u32, u64 } from './rawGguf.js'

v8.setFlagsFromString('--expose-gc')
const collect = vm.runInNewContext('gc') as () => void

const MIB = 1024 * 1024
const [uint8, string, array, uint64] = [u32(0), u32(8), u32(9), u32(10)]

/** An array as the only value, made of `total / element.length` copies of one element's bytes. */
function repeated(type: Uint8Array, element: Uint8Array, total: number): Uint8Array {
  const count = Math.floor(total / element.length)
  const bytes = new Uint8Array(count * element.length)
  for (let n = 0; n < count; n++) bytes.set(element, n * element.length)
  return new Uint8Array(Buffer.concat([join(start(0, 1), text('a'), array, type, u64(count)), bytes]))
}

const files: Record<string, () => Uint8Array> = {
  'empty texts': () => repeated(string, join(u64(0)), 16 * MIB),
  'texts of one character': () => repeated(string, join(text('\u2581')), 16 * MIB),
  'single bytes': () => repeated(uint8, join([7]), 16 * MIB),
  'integers beyond 2^53': () => repeated(uint64, join(u64(2n ** 63n)), 16 * MIB),
  'nested empty arrays': () => repeated(array, join(uint8, u64(0)), 16 * MIB),
  'one long text': () => {
    const bytes = new Uint8Array(48 * MIB).fill(0x61)
    bytes.set([0xe2, 0x96, 0x81]) // so that it takes two bytes a character
    return new Uint8Array(Buffer.concat([join(start(0, 1), text('a'), string, u64(bytes.length)), bytes]))
  },
  keys: () => {
    const keys = Array.from({ length: 200_000 }, (_, n) => join(text(String(n)), uint8, [1]))
    return new Uint8Array(Buffer.concat([start(0, keys.length), ...keys]))
  },
  'tensors of one weight': () => {
    const infos = Array.from({ length: 100_000 }, (_, n) => join(info(String(n), [1], 24, 32 * n)))
    return new Uint8Array(Buffer.concat([start(infos.length, 0), ...infos, new Uint8Array(32 * infos.length + 32)]))
  },
}

test.each(Object.entries(files))('%s', async (_, make) => {
  const file = make()
  collect()
  const before = held()
  let most = 0
  const measure = () => {
    collect()
    most = Math.max(most, held() - before)
  }
  const source = {
    name: 'memory.gguf',
    bytes: file.length,
    async read(offset: number, length: number) {
      measure()
      return file.slice(offset, offset + length)
    },
  }
  const outcome = await readHeader(source).catch((error: unknown) => error)
  measure()
  if (outcome instanceof Error) expect(outcome).toBeInstanceOf(MixtralError)
  expect(most).toBeLessThan(2 * file.length + 32 * MIB)
})

function held(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

test('the headers of a set take no more memory together than one may', async () => {
  const file = join(start(0, 1), text('a'), string, u64(1000), new Uint8Array(1000))
  const source = {
    name: 'shard.gguf',
    bytes: file.length,
    read: async (offset: number, length: number) => file.slice(offset, offset + length),
  }
  const { memory } = await readHeader(source)
  expect(memory).toBeGreaterThan(1000)
  expect((await readHeader(source, { taken: memory })).memory).toBe(2 * memory)
  const most = (512 + 32) * MIB
  expect((await readHeader(source, { taken: most - memory })).memory).toBe(most)
  await expect(readHeader(source, { taken: most - memory + 1 })).rejects.toMatchObject({
    code: 'GGUF',
    message: expect.stringContaining('needs more memory'),
  })
})
