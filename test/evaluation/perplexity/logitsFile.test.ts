// Files of stored logits: llama.cpp's own is read and written again, and what is no such file is refused.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { normalize } from '../../../dist/evaluation/perplexity/logProbabilities.js'
import { cutWindows } from '../../../dist/evaluation/perplexity/windows.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { LogitsFile, measureDivergence, measurePerplexity, Tokenizer } from '../../../dist/index.js'
import { demoModel, golden, toldModel } from './measured.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-perplexity-'))
afterAll(() => rmSync(folder, { recursive: true }))
const theirs = golden('kl/base-F16.kld')

test('the tokens stored by llama.cpp are those of our windows', async () => {
  const tokenizer = Tokenizer.fromGgufMetadata((await openGguf(demoModel('F16'))).metadata)
  const tokens = tokenizer.encode(readFileSync(golden('kl/eval-short.txt'), 'utf8').trimEnd())
  const { windows, close } = await opened(theirs)
  expect(windows).toEqual(cutWindows(tokens, 256))
  await close()
})

test('the logits of a file of llama.cpp make the same file again', async () => {
  const base = await LogitsFile.open(theirs)
  const { vocabulary, windows } = base
  let window = 0
  const rows = await Promise.all(Array.from({ length: windows.count }, (_, i) => base.window(i)))
  await base.close()
  const model = toldModel({
    vocabulary,
    tokens: windows.tokens,
    logits: (ids) => {
      const all = new Float32Array(ids.length * vocabulary)
      const row = new Float64Array(vocabulary)
      for (let i = 0; i < 127; i++) {
        rows[window]!(i, row)
        all.set(row, (128 + i) * vocabulary)
      }
      window++
      return all
    },
  })
  const ours = join(folder, 'again.kld')
  await measurePerplexity(model, '', { contextLength: 256, saveLogits: ours })
  const [expected, found] = [readFileSync(theirs), readFileSync(ours)]
  expect(found.length).toBe(expected.length)
  const head = 20 + 4 * windows.tokens.length
  expect(found.subarray(0, head).equals(expected.subarray(0, head))).toBe(true)
  const rowBytes = 8 + 2 * vocabulary
  let unlike = 0
  for (let at = head; at < found.length; at += rowBytes) {
    for (const part of [at, at + 4]) unlike += Math.abs(found.readFloatLE(part) / expected.readFloatLE(part) - 1) < 2e-5 ? 0 : 1
    if (!found.subarray(at + 8, at + rowBytes).equals(expected.subarray(at + 8, at + rowBytes))) unlike++
  }
  expect(unlike).toBe(0)
})

test.each([2, 5])('a vocabulary of %i goes through a file and back', async (vocabulary) => {
  const tokens = Array.from({ length: 13 }, (_, i) => (i * 7) % vocabulary)
  const logits = (ids: readonly number[]) => Float32Array.from({ length: ids.length * vocabulary }, (_, i) => ((i * 37) % 23) - 9)
  const model = toldModel({ vocabulary, tokens, logits })
  const path = join(folder, `${vocabulary}.kld`)
  await measurePerplexity(model, '', { contextLength: 4, saveLogits: path })
  const base = await LogitsFile.open(path)
  expect(base.windows).toEqual({ contextLength: 4, count: 3, tokens: tokens.slice(0, 12) })
  const out = new Float64Array(vocabulary)
  ;(await base.window(2))(0, out)
  const row = logits([0, 0, 0]).subarray(2 * vocabulary)
  const { offset } = normalize(row)
  const least = Math.max(...row) - 16
  for (const [i, logit] of row.entries()) expect(out[i]).toBeCloseTo(Math.max(logit, least) - offset, 3)
  const { divergence, sameTop } = await measureDivergence(model, base)
  expect(divergence.maximum).toBeLessThan(1e-5)
  expect(sameTop).toEqual({ value: 1, error: 0 })
  await base.close()
})

test('logits that are all alike are stored', async () => {
  const path = join(folder, 'flat.kld')
  const model = toldModel({ vocabulary: 4, tokens: [1, 2, 3, 0, 1, 2], logits: (ids) => new Float32Array(ids.length * 4) })
  expect((await measurePerplexity(model, '', { contextLength: 3, saveLogits: path })).perplexity.value).toBeCloseTo(4, 12)
  const base = await LogitsFile.open(path)
  expect((await measureDivergence(model, base)).basePerplexity.value).toBeCloseTo(4, 5)
  await base.close()
})

test('a file that was not finished is taken away', async () => {
  const path = join(folder, 'failed.kld')
  const logits = () => {
    throw new Error('no')
  }
  await expect(
    measurePerplexity(toldModel({ vocabulary: 4, tokens: [1, 2, 3, 0, 1, 2], logits }), '', { contextLength: 3, saveLogits: path }),
  ).rejects.toThrow('no')
  await expect(LogitsFile.open(path)).rejects.toMatchObject({ code: 'IO' })
})

test.each<[what: string, spoil: (file: Buffer) => Buffer, message: RegExp]>([
  ['an empty file', () => Buffer.alloc(0), /not a file of stored logits/],
  ['a file of another kind', (file) => Buffer.concat([Buffer.from('GGUF'), file.subarray(4)]), /not a file of stored logits/],
  ['a file cut off', (file) => file.subarray(0, -2), /bytes, but its header says 8 windows/],
  ['a file with something after its end', (file) => Buffer.concat([file, Buffer.alloc(4)]), /bytes, but its header says/],
  [
    'counts beyond all memory',
    (file) => Buffer.concat([file.subarray(0, 8), Buffer.alloc(12, 255), file.subarray(20)]),
    /its header says 4294967295 windows/,
  ],
  ['counts of zero', (file) => Buffer.concat([file.subarray(0, 8), Buffer.alloc(12)]), /its header says 0 windows/],
  [
    'a token outside the vocabulary',
    (file) => {
      file.writeUInt32LE(2048, 20 + 4 * 3)
      return file
    },
    /token 3 is 2048/,
  ],
])('%s is refused', async (_, spoil, message) => {
  const path = join(folder, 'spoiled.kld')
  writeFileSync(path, spoil(readFileSync(theirs)))
  await expect(LogitsFile.open(path)).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(message) })
})

test('a file with holes that says it has many tokens is refused before they are read', async () => {
  const path = join(folder, 'holes.kld')
  const [contextLength, vocabulary, count] = [1024, 1, 65_536]
  const head = Buffer.alloc(20)
  head.write('_logits_', 'latin1')
  for (const [i, value] of [contextLength, vocabulary, count].entries()) head.writeUInt32LE(value, 8 + 4 * i)
  writeFileSync(path, head)
  // the size that the header asks for is in the message
  const { message } = await LogitsFile.open(path).then(
    () => new Error('opened'),
    (error: Error) => error,
  )
  truncateSync(path, Number(/, (\d+) bytes$/.exec(message)![1]))
  await expect(LogitsFile.open(path)).rejects.toThrow('tokens of a file of stored logits')
})

test('a base with another vocabulary is refused', async () => {
  const base = await LogitsFile.open(theirs)
  const model = toldModel({ vocabulary: 4, tokens: [], logits: () => new Float32Array(0) })
  await expect(measureDivergence(model, base)).rejects.toMatchObject({ code: 'OPTION' })
  await base.close()
})

test.each([
  ['a scale that is not a number', 0, Number.NaN],
  ['an infinite least log-probability', 4, Number.NEGATIVE_INFINITY],
  ['probabilities above 1', 4, 5],
])('%s is damage, not a prediction', async (_, at, value) => {
  const bytes = readFileSync(theirs)
  const tokens = bytes.readUInt32LE(8) * bytes.readUInt32LE(16)
  bytes.writeFloatLE(value, 20 + 4 * tokens + at)
  const path = join(folder, 'damaged.kld')
  writeFileSync(path, bytes)
  const base = await LogitsFile.open(path)
  const { vocabulary, windows } = base
  const model = toldModel({ vocabulary, tokens: windows.tokens, logits: (ids) => new Float32Array(ids.length * vocabulary) })
  await expect(measureDivergence(model, base)).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/damaged\.kld: window 0, prediction 0: .* expected .*: the file is damaged/),
  })
  await base.close()
})

async function opened(path: string) {
  const file = await LogitsFile.open(path)
  return { windows: file.windows, close: () => file.close() }
}

test.skipIf(process.platform === 'win32')('a pipe is refused: to open one may take for ever', async () => {
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  await expect(LogitsFile.open(path)).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('not a file') })
})
