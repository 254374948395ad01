import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { BatchInput } from '../../../dist/interfaces/batch/batchInput.js'
import { chat, complete, embed, testFolder, writeInput } from './batchFiles.js'

const file = testFolder()
const good = JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/completions', body: { prompt: 'x' } })
const other = (change: object) => JSON.stringify({ ...JSON.parse(good), custom_id: 'b', ...change })

const wrong: readonly (readonly [what: string, line: string, message: string])[] = [
  ['no JSON', '{"custom_id": "b", ', 'the line is no JSON'],
  ['no object', '[1]', 'the line is no JSON object'],
  ['no id', other({ custom_id: undefined }), 'custom_id is no value, expected a string of 1 to 512 characters'],
  ['a number as id', other({ custom_id: 7 }), 'custom_id is 7, expected a string'],
  ['a long id', other({ custom_id: 'x'.repeat(513) }), 'expected a string of 1 to 512 characters'],
  ['another method', other({ method: 'GET' }), 'method is "GET", expected POST'],
  ['another address', other({ url: '/v1/images' }), 'url is "/v1/images", expected one of /v1/chat/completions'],
  ['no body', other({ body: null }), 'body is null, expected an object'],
  ['deep nesting', other({ body: JSON.parse('['.repeat(300) + ']'.repeat(300)) }), 'nests more than 256 levels deep'],
  ['a double id', other({ custom_id: 'a' }), 'custom_id "a" is that of'],
]

test.each(wrong)('a line with %s is named by file and line', async (_, line, message) => {
  writeFileSync(file('wrong.jsonl'), `${good}\n\n${line}\n`)
  await expect(BatchInput.open(file('wrong.jsonl'))).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringContaining(`${file('wrong.jsonl')}:3: `),
  })
  await expect(BatchInput.open(file('wrong.jsonl'))).rejects.toThrow(message)
})

test('a double id names both lines', async () => {
  writeFileSync(file('double.jsonl'), `${good}\n${other({})}\n${good}\n`)
  await expect(BatchInput.open(file('double.jsonl'))).rejects.toThrow(
    `${file('double.jsonl')}:3: custom_id "a" is that of ${file('double.jsonl')}:1, too`,
  )
})

test('a line that is too long is refused while it is read', async () => {
  writeFileSync(file('long.jsonl'), `${good}\n${other({ body: { prompt: 'x'.repeat(10_000_000) } })}\n`)
  await expect(BatchInput.open(file('long.jsonl'))).rejects.toThrow(`${file('long.jsonl')}:2: the line has more than 9437184 bytes`)
})

test('a file without requests, and one that is not there, are errors', async () => {
  writeFileSync(file('empty.jsonl'), '\n')
  await expect(BatchInput.open(file('empty.jsonl'))).rejects.toMatchObject({ code: 'OPTION' })
  await expect(BatchInput.open(file('absent.jsonl'))).rejects.toMatchObject({ code: 'IO' })
})

test('a file of more lines than requests may be there is refused, empty ones too', async () => {
  const many = file('empty.jsonl')
  writeFileSync(many, '\n'.repeat(1_000_001))
  await expect(BatchInput.open(many)).rejects.toMatchObject({
    code: 'OPTION',
    message: `${many}:1000001: more than 1000000 lines, which is the most of a file`,
  })
})

test('requests that begin alike follow each other, at the place of the first', async () => {
  const long = 'A story about a dragon. '.repeat(20)
  const lines = [complete(`${long}1`), chat('x'), complete(`${long}2`), embed('y'), complete(`${long}3`)]
  writeInput(file('order.jsonl'), lines)
  const input = await BatchInput.open(file('order.jsonl'))
  expect([...input.order]).toEqual([0, 2, 4, 1, 3])
  await input.close()
})

test('requests are found by their id, and read again as they are', async () => {
  const lines = Array.from({ length: 3000 }, (_, i) => complete(`number ${i}`, { top_k: i }))
  writeInput(file('many.jsonl'), lines)
  const input = await BatchInput.open(file('many.jsonl'))
  expect(await input.find('r2345')).toMatchObject({ index: 2345, customId: 'r2345', body: { prompt: 'number 2345', top_k: 2345 } })
  expect(await input.find('r3000')).toBeUndefined()
  await input.close()
})

test('the id of a batch follows from the bytes of its file', async () => {
  const ids: string[] = []
  for (const [name, text] of [
    ['one', 'x'],
    ['copy', 'x'],
    ['other', 'y'],
  ] as const) {
    writeInput(file(`${name}.jsonl`), [chat(text)])
    const input = await BatchInput.open(file(`${name}.jsonl`))
    ids.push(input.id)
    await input.close()
  }
  expect(ids[0]).toMatch(/^batch_[0-9a-f]{32}$/)
  expect(ids[1]).toBe(ids[0])
  expect(ids[2]).not.toBe(ids[0])
})

test('lines may end as on Windows, the last one not at all', async () => {
  writeFileSync(file('windows.jsonl'), `${good}\r\n${other({})}`)
  const input = await BatchInput.open(file('windows.jsonl'))
  expect(input.size).toBe(2)
  expect(await input.read(1)).toMatchObject({ customId: 'b', where: `${file('windows.jsonl')}:2` })
  await input.close()
})
