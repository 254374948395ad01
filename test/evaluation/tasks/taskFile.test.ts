// Rows of files: JSON lines and Parquet, and files that are neither. The Parquet files in files/ were written from the
// JSON lines there by hyparquet-writer 0.17.0, in the schemas of Hugging Face: Snappy, four rows in a row group.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { FileSource } from '../../../dist/base/files/byteSource.js'
import { textLines } from '../../../dist/base/files/textLines.js'
import { taskRows } from '../../../dist/evaluation/tasks/taskFile.js'
import { collected } from './collected.js'
import { repeatedRows } from './parquetFile.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-rows-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0
const written = (content: string | Uint8Array) => {
  const path = join(folder, `${files++}.jsonl`)
  writeFileSync(path, content)
  return path
}
const file = (name: string) => fileURLToPath(new URL(`files/${name}`, import.meta.url))
const rowsOf = async (path: string) => collected(taskRows(path))

test('each line is a row; empty lines count as lines, and a byte order mark as nothing', async () => {
  const rows = await rowsOf(written('\ufeff{"a": 1}\r\n\n  \n{"a": 2}'))
  expect(rows.map(({ number, fields }) => [number, fields.a])).toEqual([
    [1, 1],
    [4, 2],
  ])
  expect(rows[1]!.where).toMatch(/\.jsonl, line 4$/)
})

test('lines of any length come whole, though the file is read in parts', async () => {
  const long = Array.from({ length: 40 }, (_, i) => 'é'.repeat(i * 1700) + i)
  const source = await FileSource.open(written(long.join('\n')))
  const lines = await collected(textLines(source, 1_000_000))
  await source.close()
  expect(lines.map(({ text }) => text)).toEqual(long)
  expect(lines.map(({ isEnded }) => isEnded)).toEqual([...Array(39).fill(true), false])
  expect(lines.at(-1)!.end).toBe(source.bytes)
})

test.each<[string, string | Uint8Array, RegExp]>([
  ['no JSON', '{"a": 1}\n{"a": \n', /line 2: is no JSON \(.*\), expected an object in each line, or a Parquet file$/],
  ['a list', '[{"a": 1}]', /line 1: is a list of 1, expected an object$/],
  ['not UTF-8', Uint8Array.of(0x7b, 0x7d, 10, 0xff), /line 2: is not UTF-8$/],
  ['a line without end', ' '.repeat(2 ** 20 + 1), /line 1: has more than 1048576 bytes$/],
  ['the beginning of Parquet', 'PAR1 and no more', /: its footer cannot be read: /],
  ['a footer that is not there', Buffer.from('PAR1....\xff\xff\xff\x7fPAR1', 'latin1'), /: its footer cannot be read: /],
])('%s is refused', async (_, content, message) => {
  await expect(rowsOf(written(content))).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(message) })
})

test('a file that is not there, and a folder', async () => {
  await expect(rowsOf(join(folder, 'none'))).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('cannot open') })
  await expect(rowsOf(folder)).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('not a file') })
})

const plain = (value: unknown) => JSON.parse(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? Number(item) : item)))

test.each(['arc', 'mmlu'])('%s: Parquet has the rows of its JSON lines, in several row groups', async (name) => {
  const [parquet, lines] = await Promise.all([rowsOf(file(`${name}.parquet`)), rowsOf(file(`${name}.jsonl`))])
  expect(parquet.map(({ fields }) => plain(fields))).toEqual(lines.map(({ fields }) => fields))
  expect(parquet.map(({ number }) => number)).toEqual(lines.map((_, i) => i + 1))
  expect(parquet[2]!.where).toMatch(/\.parquet, row 3$/)
})

/** The small file with a byte changed. */
const damaged = (at: number) => {
  const bytes = readFileSync(file('mmlu.parquet'))
  bytes[at]! ^= 0xff
  return written(bytes)
}

test('damaged Parquet is an error of the file, wherever it is damaged', async () => {
  const errors: unknown[] = []
  const { length } = readFileSync(file('mmlu.parquet'))
  for (let at = 4; at < length; at += 103) await rowsOf(damaged(at)).catch((error) => errors.push(error))
  expect(errors.length).toBeGreaterThan(5)
  for (const error of errors)
    expect(error).toMatchObject({ code: 'IO', message: expect.stringMatching(/\.jsonl: .* cannot be read: |damaged$/) })
})

test('a page that says that it has endless values is given up', async () => {
  const { user, system } = process.cpuUsage()
  const problem = /: reading it takes (\d\.\d seconds|\d+\.\d MB of memory), more than a file of \d+\.\d kB may: it may be damaged$/
  await expect(rowsOf(damaged(22))).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(problem) })
  const taken = process.cpuUsage({ user, system })
  expect((taken.user + taken.system) / 1e6).toBeLessThan(2)
})

test('a hundred bytes of Parquet that stand for a billion numbers are refused before they take much memory', async () => {
  // one column of 2 ** 30 INT64 in a page of DELTA_BINARY_PACKED, each of no bits
  const bytes = Buffer.from(
    'UEFSMRUAFRwVHCwVgICAgAgVChUGFQYAAICAgIAEAYCAgIAEAgIAFQIZLEgEcm9vdBUCABUEJQAYAXEAFoCAgAQZHBkcJggcFQQZFQoZGAFxFQAWgICAgAgWyAEWRiYIAAAWyAEWgICABAAARQAAAFBBUjE=',
    'base64',
  )
  const before = process.resourceUsage().maxRSS // in KB
  const rows = /: its footer cannot be read: it has 4194304 rows, expected at most 65652$/
  await expect(rowsOf(written(bytes))).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(rows) })
  const problem = /: reading it takes (\d\.\d seconds|\d+\.\d MB of memory), more than a file of \d+ bytes may: it may be damaged$/
  const claiming = written(repeatedRows({ rows: 1, value: 'goat', claimed: 2 ** 29 }))
  await expect(rowsOf(claiming)).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(problem) })
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(800_000)
}, 30_000)

test('rows come in parts, and all of them', async () => {
  const rows = await rowsOf(written(repeatedRows({ rows: 1000, value: 'goat', columns: 2 })))
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1))
  expect(rows[999]!.fields).toEqual({ a0: 'goat', a1: 'goat' })
  const long = 'x'.repeat(400_000)
  expect(await rowsOf(written(repeatedRows({ rows: 5, value: long })))).toHaveLength(5)
})

test('a Parquet file has no more rows than its bytes may stand for', async () => {
  const bytes = repeatedRows({ rows: 70_000, value: 'goat' })
  expect(bytes.length).toBeLessThan(300)
  const problem = new RegExp(`: its footer cannot be read: it has 70000 rows, expected at most ${65_536 + bytes.length}$`)
  await expect(rowsOf(written(bytes))).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(problem) })
})

test('a text that a few bytes repeat is sent until it takes more than its file may', async () => {
  const wide = repeatedRows({ rows: 3, value: 'x'.repeat(100_000), columns: 200 })
  const row = /: row group 0 cannot be read: a row has more than 16777216 bytes$/
  await expect(rowsOf(written(wide))).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(row) })

  const before = process.resourceUsage().maxRSS // in KB
  const repeated = written(repeatedRows({ rows: 60_000, value: 'x'.repeat(100_000) }))
  let seen = 0
  const reading = (async () => {
    for await (const _ of taskRows(repeated)) seen++
  })()
  const much = /: reading it takes (\d\.\d seconds|\d+\.\d MB of memory), more than a file of 100\.\d kB may: it may be damaged$/
  await expect(reading).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(much) })
  expect(seen).toBeGreaterThan(0)
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(600_000)
})

test('an abort is obeyed at once while a thread reads, and nothing is left of it', async () => {
  const endless = damaged(22)
  const controller = new AbortController()
  const reading = (async () => {
    for await (const _ of taskRows(endless, controller.signal));
  })()
  setTimeout(() => controller.abort(), 150)
  await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
})
