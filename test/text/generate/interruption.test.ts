// What takes long on the main thread before a model runs goes in slices: a signal that comes meanwhile is obeyed, not
// when all is done.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { atOnce, inSlices, type Steps } from '../../../dist/base/timeSlice.js'
import { encodeHeader, type GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import type { GgufValue } from '../../../dist/format/gguf/gguf.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { MixtralModel, Tokenizer } from '../../../dist/index.js'
import { vocabularyMetadata } from '../../format/gguf/mixtralMetadata.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-slices-'))
afterAll(() => rmSync(folder, { recursive: true }))

const many: GgufEntry[] = vocabularyMetadata(100_000)
const metadata = new Map<string, GgufValue>(many.map(([key, , value]) => [key, value]))
const files: Record<string, Parameters<typeof encodeHeader>[0]> = {
  'a large vocabulary': { metadata: many, tensors: [] },
  'many keys': { metadata: Array.from({ length: 50_000 }, (_, n) => [`k${n}`, 'uint8', 1]), tensors: [] },
  'a long list of numbers': { metadata: [['x', 'array<uint8>', Array(1_000_000).fill(7)]], tensors: [] },
  'many tensors': {
    metadata: [],
    tensors: Array.from({ length: 50_000 }, (_, n) => ({ name: `t${n}`, shape: [1], type: ggmlTypeByName('F32')! })),
  },
}
beforeAll(() => {
  for (const [name, plan] of Object.entries(files)) {
    const { bytes, fileBytes } = encodeHeader(plan)
    const file = new Uint8Array(fileBytes)
    file.set(bytes)
    writeFileSync(join(folder, `${name}.gguf`), file)
  }
})

/** A signal that fires as soon as other work of this thread can run. */
function soon(turns = 1): AbortSignal {
  const controller = new AbortController()
  void (async () => {
    for (let n = 0; n < turns; n++) await setImmediate()
    controller.abort()
  })()
  return controller.signal
}

test.each(Object.keys(files))('the reading of %s is left when the signal fires', async (name) => {
  const path = join(folder, `${name}.gguf`)
  const { metadata: all, tensors } = await openGguf(path)
  expect(all.size + tensors.size).toBeGreaterThan(0)
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => 'done',
      ({ code }) => code,
    )
  expect(await codeOf(openGguf(path, { signal: soon(5) }))).toBe('ABORTED')
  expect(await codeOf(MixtralModel.load(path, { signal: soon(5) }))).toBe('ABORTED')
})

test('the building of a tokenizer is left when the signal fires, and others are the same', async () => {
  await expect(Tokenizer.load(metadata, { signal: soon() })).rejects.toMatchObject({ code: 'ABORTED' })
  const [sliced, whole] = [await Tokenizer.load(metadata), Tokenizer.fromGgufMetadata(metadata)]
  for (const text of ['Once upon a time', 't300t4711 t99999', '日本\u{1f600}']) expect(sliced.encode(text)).toEqual(whole.encode(text))
})

test('other work of the thread runs often meanwhile', async () => {
  let turns = 0
  let running = true
  const other = (async () => {
    for (; running; turns++) await setImmediate()
  })()
  await openGguf(join(folder, 'a large vocabulary.gguf'))
  await Tokenizer.load(metadata)
  running = false
  await other
  expect(turns).toBeGreaterThan(20)
})

test('steps are the same at once and in slices', async () => {
  function* count(): Steps<number> {
    let sum = 0
    for (let n = 0; n < 10; n++) {
      sum += n
      yield
    }
    return sum
  }
  expect([atOnce(count()), await inSlices(count())]).toEqual([45, 45])
})
