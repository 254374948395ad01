// Files beyond 4 GiB, where 32-bit offsets end.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FileSource } from '../../../dist/base/files/byteSource.js'
import { encodeHeader } from '../../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'

let folder = ''
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'gguf-large-'))
})
afterAll(() => fs.rm(folder, { recursive: true }))

test('a tensor beyond 4 GiB is found and read where it is', async () => {
  const file = path.join(folder, 'large.gguf')
  const F32 = ggmlTypeByName('F32')!
  const tensors = [
    { name: 'large', type: F32, shape: [2 ** 20, 1280] },
    { name: 'small', type: F32, shape: [2] },
  ]
  const header = encodeHeader({ metadata: [], tensors })
  const handle = await fs.open(file, 'w')
  await handle.truncate(header.fileBytes) // sparse: takes no room on the disk
  await handle.write(header.bytes)
  await handle.write(new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), 0, 8, header.tensors[1]!.offset)
  await handle.close()

  const gguf = await openGguf(file)
  const small = gguf.tensors.get('small')!
  expect(small.offset).toBeGreaterThan(2 ** 32)
  const source = await FileSource.open(file)
  expect([...(await source.read(small.offset, small.bytes))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  await source.close()
})
