// Files that change or turn out to be damaged after their header was read: a clear error, and no NaN passed off as
// text.

import {
  appendFileSync,
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { WeightLoader } from '../../../dist/runtime/weights/weightLoader.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { demoPath } from './demoFiles.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-damaged-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Loads a copy of the demo model that something happens to after its header was read. */
async function loadAfter(name: string, change: (path: string) => void): Promise<MixtralModel> {
  const path = join(folder, name)
  copyFileSync(demoPath(), path)
  utimesSync(path, 1e9, 1e9) // a time that can be put back
  const weights = await WeightLoader.fromGguf(path)
  change(path)
  return MixtralModel.fromWeights(MixtralConfig.fromGgufMetadata(weights.metadata), weights, { threads: 2 })
}

test('a file that has shrunk is refused, with both lengths', async () => {
  await expect(loadAfter('shrunk.gguf', (path) => truncateSync(path, 5_000_000))).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/shrunk\.gguf: 5000000 bytes, expected \d+: the file has changed since it was opened/),
  })
})

test('a file that is gone is refused', async () => {
  await expect(loadAfter('gone.gguf', (path) => rmSync(path))).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/gone\.gguf: ENOENT/),
  })
})

const halfInfinity = [0x00, 0x7c]
const halfNaN = [0x01, 0xfe]
const floatNaN = [0x00, 0x00, 0xc0, 0x7f]
const floatInfinity = [0x00, 0x00, 0x80, 0xff]
const largestFloat = [0xff, 0xff, 0x7f, 0x7f]

/** Overwrites bytes of a tensor, counted from its beginning. */
async function damage(path: string, name: string, at: number, bytes: readonly number[]): Promise<string> {
  const { offset } = (await openGguf(path)).tensors.get(name)!
  const file = readFileSync(path)
  file.set(bytes, offset + at)
  const damaged = join(folder, `${name}-${at}.gguf`)
  writeFileSync(damaged, file)
  return damaged
}

test.each<[string, string, string, number, readonly number[]]>([
  ['Q4_K scale', 'Q4_K_M', 'blk.3.ffn_up_exps.weight', 144 * 300, halfInfinity],
  ['Q4_K scale of the mins', 'Q4_K_M', 'blk.0.attn_q.weight', 2, halfNaN],
  ['Q5_K scale', 'Q4_K_M', 'blk.5.attn_output.weight', 176 * 7, halfNaN],
  ['Q6_K scale', 'Q4_K_M', 'output.weight', 210 * 2047 + 208, halfInfinity],
  ['Q8_0 scale', 'Q4_K_M', 'blk.2.attn_v.weight', 34 * 11, halfNaN],
  ['F16 weight', 'F16', 'blk.1.ffn_down_exps.weight', 2 * 12345, halfInfinity],
  ['F32 weight', 'Q4_K_M', 'blk.4.ffn_gate_inp.weight', 4 * 99, floatNaN],
  ['norm', 'Q4_K_M', 'blk.1.attn_norm.weight', 4 * 17, floatNaN],
  ['norm of the experts', 'F16', 'blk.5.ffn_norm.weight', 0, floatInfinity],
  ['norm of the output', 'Q4_K_M', 'output_norm.weight', 4 * 255, floatInfinity],
  ['embedding', 'Q4_K_M', 'token_embd.weight', 144 * 700 + 2, halfNaN],
  ['embedding in F16', 'F16', 'token_embd.weight', 2 * 256 * 1999, halfInfinity],
])('a %s that is not finite is refused, with the name of its tensor', async (_, type, tensor, at, bytes) => {
  const path = await damage(demoPath(type), tensor, at, bytes)
  await expect(MixtralModel.load(path, { threads: 2 })).rejects.toMatchObject({
    code: 'MODEL',
    message: expect.stringMatching(`^tensor ${tensor}, rows \\d+ to \\d+: 1 .*not finite, expected none: the file is damaged`),
  })
})

/** A copy of the demo model with few experts in memory, which is changed after the first text. */
async function withFewExperts(name: string, change: (path: string) => void) {
  const path = join(folder, name)
  copyFileSync(demoPath(), path)
  utimesSync(path, 1e9, 1e9) // a time that can be put back
  const model = await MixtralModel.load(path, { threads: 2, contextLength: 128, batchSize: 16, ram: 5_200_000 })
  await model.generate('Once upon a time', { maxNewTokens: 2 })
  change(path)
  return model
}

/** Does something to a file, and puts its times back. */
const keepingTimes = (change: (path: string) => void) => (path: string) => {
  change(path)
  utimesSync(path, 1e9, 1e9) // as before
}
const overwrite = (path: string) => {
  const file = openSync(path, 'r+')
  writeSync(file, new Uint8Array(1000).fill(1), 0, 1000, 5_000_000)
  closeSync(file)
}

test.each([
  ['written to', overwrite],
  ['written to, its times put back', keepingTimes(overwrite)],
])('a file that is %s between opening and loading is refused', async (name, change) => {
  await expect(loadAfter(`${name}.gguf`, change)).rejects.toThrow('the file has changed since it was opened')
})

test.each<[string, (path: string) => void, string, RegExp]>([
  [
    'shrinks',
    (path) => truncateSync(path, 3_000_000),
    'IO',
    /shrinks\.gguf: (ends at byte 3000000|3000000 bytes, expected \d+: the file has changed)/,
  ],
  ['grows', (path) => appendFileSync(path, 'x'), 'IO', /grows\.gguf: \d+ bytes, expected \d+: the file has changed since it was opened/],
  [
    'is written to',
    (path) => utimesSync(path, 1, 1),
    'IO',
    /is written to\.gguf: last written 1970-01-01T00:00:01.000Z, expected 2001-09-09.*: the file has changed/,
  ],
  ['is written to behind its back', keepingTimes(overwrite), 'IO', /last changed 20.*, expected 20.*: the file has changed/],
  [
    'another takes the name of',
    keepingTimes((path) => {
      writeFileSync(`${path}.new`, readFileSync(path).fill(1, 5_000_000))
      renameSync(`${path}.new`, path)
    }),
    'IO',
    /last changed 20.*, expected 20.*: the file has changed/,
  ],
])('a file that %s while experts are read from it ends the call with an error, and the next one too', async (name, change, code, says) => {
  await using model = await withFewExperts(`${name}.gguf`, change)
  for (let call = 0; call < 2; call++) {
    await expect(model.generate('Long ago', { maxNewTokens: 8 })).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
  }
})

test('an expert with a scale that is not finite ends the call that needs it, with the name of its tensor', async () => {
  const path = await damage(demoPath(), 'blk.3.ffn_up_exps.weight', 144 * 300, halfInfinity)
  await using model = await MixtralModel.load(path, { threads: 2, contextLength: 128, batchSize: 16, ram: 5_200_000 })
  const everyExpert = Array.from({ length: 90 }, (_, i) => (i * 37 + 1) % 2048)
  await expect(model.logits(everyExpert)).rejects.toMatchObject({
    code: 'MODEL',
    message: expect.stringMatching(
      '^tensor blk.3.ffn_up_exps.weight, rows \\d+ to \\d+: 1 .*not finite, expected none: the file is damaged',
    ),
  })
})

test('a text whose logits overflow spoils its own call and no other, also where experts are streamed', async () => {
  const path = await damage(demoPath(), 'output_norm.weight', 4 * 3, largestFloat)
  await using model = await MixtralModel.load(path, { threads: 2, contextLength: 64, ram: 6_000_000 })
  expect(model.memory.expertSlots).toBeLessThan(model.memory.experts)
  const evaluate = (last: number) => model.evaluate([1, 400, last], { signal: AbortSignal.timeout(20_000) })
  const lasts = Array.from({ length: 20 }, (_, i) => 501 + i)
  const rows: Float32Array[] = []
  for (const last of lasts) rows.push(await evaluate(last))
  const finite = rows.map((row) => row.every(Number.isFinite))
  expect(new Set(finite).size).toBe(2)
  const [good, bad] = [finite.indexOf(true), finite.indexOf(false)]
  expect(await evaluate(lasts[bad]!)).toEqual(rows[bad])
  expect(await evaluate(lasts[good]!)).toEqual(rows[good])
  const prompts = [good, bad].map((i) => model.session({ ids: [1, 400, lasts[i]!] }).generate({ maxNewTokens: 1, temperature: 0 }))
  const [text, failure] = await Promise.allSettled(prompts)
  expect(text!.status).toBe('fulfilled')
  expect(failure).toMatchObject({ reason: { code: 'MODEL', message: expect.stringContaining('expected a finite number') } })
})
