// Saved sessions whose keys or values are not finite, behind a right hash: whoever writes such a file can compute it.

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-restored-'))
afterAll(() => rmSync(folder, { recursive: true }))

const HASH_BYTES = 32
const PAGE = 32
const ids = Array.from({ length: 2 * PAGE + 5 }, (_, i) => 300 + i)
const wrong = [
  ['f16', 'a NaN', [0x00, 0x7e]],
  ['f32', 'a NaN', [0, 0, 0xc0, 0x7f]],
  ['q8', 'an infinite scale', [0x00, 0x7c]],
  ['q8', 'a scale with a sign, which kernels read as NaN', [0x01, 0x80]],
] as const

test.each(wrong)('a session of %s with %s is refused by its page', async (kvFormat, _, stored) => {
  const model = await MixtralModel.load('demo', { threads: 1, contextLength: 128, kvFormat })
  try {
    const file = join(folder, `${kvFormat}.session`)
    await model.session({ ids }).save(file)
    const whole = readFileSync(file)
    const [, pageBytes] = /"pageBytes":(\d+)/.exec(whole.toString('latin1'))!
    const second = whole.length - HASH_BYTES - Number(pageBytes)
    const number = kvFormat === 'q8' ? PAGE * model.config.headDim : 0 // numbers of 8 bits have no wrong ones, their scales do
    const body = Uint8Array.from(whole.subarray(0, -HASH_BYTES))
    body.set(stored, second + number)
    writeFileSync(file, Buffer.concat([body, createHash('sha256').update(body).digest()]))
    await model.reset()
    const message = `${file}: 1 numbers of page 1 are not finite, expected none`
    await expect(model.restore(file)).rejects.toMatchObject({ code: 'SESSION', message })
    writeFileSync(file, whole)
    await expect(model.restore(file)).resolves.toMatchObject({ session: { ids } })
  } finally {
    await model.close()
  }
})
