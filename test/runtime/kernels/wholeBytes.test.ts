// Some kernels have their products twice, and the processor decides which are used (assembly/formats/iq4.ts and
// assembly/lanes/sums.ts). Here both are tested, on any processor, as far as V8 can be told.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const FLAG = '--no-enable-avx-vnni'

function run(...flags: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, fileURLToPath(new URL('wholeBits.mjs', import.meta.url))], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(stderr)
  return stdout
}

/** V8 knows the flag from Node 24 on. */
const known = spawnSync(process.execPath, [FLAG, '-e', '0']).status === 0

test.skipIf(!known)('products of whole bytes and split ones give the same bits', () => {
  expect(run(FLAG)).toBe(run())
})
