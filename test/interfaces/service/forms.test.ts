// What the heads of a form say, whatever else stands in them.

import { beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../../dist/server.js'
import { filesIn, withStores } from './storing.js'

const storing = withStores()
let server: RunningServer
let folder: string
beforeAll(async () => {
  folder = storing.folder('forms')
  server = await storing.start(folder)
})

async function posted(disposition: string, headers: Record<string, string> = {}) {
  const body = [
    '--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
    `--B\r\nContent-Disposition: form-data; ${disposition}\r\n\r\nx\r\n--B--\r\n`,
  ].join('')
  const type = { 'content-type': 'multipart/form-data; boundary=B' }
  const response = await fetch(`${server.url}/v1/files`, { method: 'POST', body, headers: { ...type, ...headers } })
  return { code: response.status, ...((await response.json()) as { filename?: string }) }
}

test.each<[disposition: string, filename: string]>([
  ['filename="a; name=purpose; filename=b"; name="file"', 'a; name=purpose; filename=b'],
  ['name="file"; filename="; name=x"', '; name=x'],
  ['name=file;filename=a.jsonl', 'a.jsonl'],
  ['NAME="file" ; FileName="a\\"b%22c"', 'a"b"c'],
  ['name="file"; filename="a"; name="purpose"; filename="b"', 'a'],
  [`name="file"; filename*=UTF-8''b; filename="a"`, 'b'],
  [`name="file"; filename="${'n'.repeat(254)}\u{1f600}"`, `${'n'.repeat(254)}\ufffd`],
])('%s', async (disposition, filename) => {
  expect(await posted(disposition)).toMatchObject({ code: 200, filename })
})

test('a compressed upload is refused by its name', async () => {
  const before = filesIn(folder)
  expect(await posted('name="file"; filename="a"', { 'content-encoding': 'gzip' })).toMatchObject({
    ...{ code: 415, error: { message: 'the upload is compressed, expected a plain form' } },
  })
  expect(filesIn(folder)).toEqual(before)
})
