import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { mixtral } from './mixtral.js'

/** A server that answers so, or never. */
async function withAnswer<T>(status: number | undefined, use: (url: string) => Promise<T>): Promise<{ asked: string[]; used: T }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url!)
    if (status) response.writeHead(status, { location: '/elsewhere' }).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const used = await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  server.closeAllConnections()
  server.close()
  return { asked, used }
}

test('a server that is well: exit code 0', async () => {
  const { asked, used } = await withAnswer(200, (url) => mixtral(['health', `${url}/v1`]))
  expect([asked, used]).toEqual([['/health'], { code: 0, stdout: 'ok\n', stderr: '' }])
})

test.each([503, 404, 302])('the answer %i: exit code 1', async (status) => {
  const { used } = await withAnswer(status, (url) => mixtral(['health', url]))
  expect([used.code, used.stdout]).toEqual([1, ''])
  expect(used.stderr).toContain('/health')
})

test('no answer, and nobody there: exit code 1, within the time that is given', async () => {
  const { used } = await withAnswer(undefined, (url) => mixtral(['health', url, '--timeout', '1']))
  expect(used).toMatchObject({ code: 1, stderr: expect.stringContaining('no answer within 1 s') })
  expect(await mixtral(['health', 'http://127.0.0.1:9'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/ECONNREFUSED|bad port/) })
})

test.each(['localhost', 'file:///etc/passwd'])('%s is no address: wrong usage', async (url) => {
  expect(await mixtral(['health', url])).toMatchObject({ code: 2, stderr: expect.stringContaining('expected one such as') })
})
