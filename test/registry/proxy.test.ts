import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, connect, createServer as createTcp, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { proxyFor } from '../../dist/registry/transfer/proxy.js'
import { ollamaModel } from './ollamaModel.js'
import { randomBytes } from './randomBytes.js'
import { RegistryServer } from './registryServer.js'
import { certificate, key } from './tlsCertificate.js'

test.each<[address: string, env: Record<string, string>, proxy: string | undefined]>([
  ['https://a.com/', {}, undefined],
  ['https://a.com/', { HTTPS_PROXY: 'http://p:1' }, 'http://p:1/'],
  ['https://a.com/', { https_proxy: 'p:1' }, 'http://p:1/'],
  ['https://a.com/', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['https://127.0.0.1:5000/', { HTTPS_PROXY: 'http://p:1' }, undefined],
  ['http://localhost:5000/', { HTTP_PROXY: 'http://p:1', ALL_PROXY: 'http://p:1' }, undefined],
  ['https://localhost.a.com/', { HTTPS_PROXY: 'http://p:1' }, 'http://p:1/'],
  ['https://a.com/', { ALL_PROXY: 'http://p:1' }, 'http://p:1/'],
  ['https://a.com/', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'b.com, a.com' }, undefined],
  ['https://x.a.com/', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '.a.com' }, undefined],
  ['https://x.a.com/', { HTTPS_PROXY: 'http://p:1', no_proxy: '*.a.com' }, undefined],
  ['https://ba.com/', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'a.com' }, 'http://p:1/'],
  ['https://a.com/', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'a.com:444' }, 'http://p:1/'],
  ['https://a.com:444/', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'a.com:444' }, undefined],
  ['https://a.com/', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '*' }, undefined],
])('%s with %j', (address, env, proxy) => {
  expect(proxyFor(new URL(address), env)?.href).toBe(proxy)
})

test('a proxy that is no address is told', () => {
  expect(() => proxyFor(new URL('https://a.com'), { HTTPS_PROXY: 'ftp://me:secret@x' })).toThrow(
    'the proxy in the environment is "ftp://x", expected an address',
  )
  for (const proxy of ['ftp://user:SEC/RET@x', 'ftp://SECRET@SECRET@x', 'user:SEC/R@ET@x:port']) {
    expect(() => proxyFor(new URL('https://a.com'), { HTTPS_PROXY: proxy })).toThrow(
      /^(?!.*SEC).*"(ftp:\/\/)?x(:port)?", expected an address/,
    )
  }
})

const root = mkdtempSync(join(tmpdir(), 'mixtral-proxy-'))
const weights = randomBytes(2_000_000)
const model = ollamaModel({}, weights)
const connects: string[] = []
const logins: (string | undefined)[] = []
let target: Server
let proxy: Server
const portOf = (server: Server) => (server.address() as AddressInfo).port
const listening = (server: Server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

beforeAll(async () => {
  target = createHttps({ key, cert: certificate }, (request, response) => {
    const url = request.url!
    if (url.includes('/manifests/')) return response.end(model.manifest)
    const blob = model.blobs.get(url.slice(url.lastIndexOf('/') + 1))!
    if (request.headers.host === 'registry.test') return response.writeHead(307, { location: `https://blobs.test${url}` }).end()
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range!)!
    const part = blob.subarray(Number(start), Number(end) + 1)
    response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${blob.length}`, 'content-length': part.length }).end(part)
  })
  await listening(target)
  proxy = createHttp().on('connect', (request, socket) => {
    connects.push(request.url!)
    logins.push(request.headers['proxy-authorization'])
    socket.on('error', () => {})
    if (request.headers['proxy-authorization'] === undefined) return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    const through = connect(portOf(target), '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
    through.on('error', () => socket.destroy())
    socket.pipe(through).pipe(socket)
  })
  await listening(proxy)
  writeFileSync(join(root, 'cert.pem'), certificate)
})
afterAll(() => {
  target.close()
  proxy.close()
  rmSync(root, { recursive: true })
})
beforeEach(() => {
  connects.length = 0
})

function pull(env: Record<string, string>, name = 'registry.test/user/mixtral'): Promise<string> {
  const script = fileURLToPath(new URL('pullChild.mjs', import.meta.url))
  const own = { MIXTRAL_HOME: join(root, 'home'), OLLAMA_MODELS: join(root, 'none'), NODE_EXTRA_CA_CERTS: join(root, 'cert.pem') }
  const child = spawn(process.execPath, [script, name], { env: { ...process.env, ...own, ...env } })
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  return new Promise((resolve) => child.on('close', () => resolve(output.trim())))
}

test('a pull goes through the proxy, redirects too, and logs in to it', async () => {
  const path = await pull({ HTTPS_PROXY: `http://me:s%20cret@127.0.0.1:${portOf(proxy)}` })
  expect(readFileSync(path).equals(weights)).toBe(true)
  expect(new Set(connects)).toEqual(new Set(['registry.test:443', 'blobs.test:443']))
  expect(logins[0]).toBe(`Basic ${Buffer.from('me:s cret').toString('base64')}`)
})

test('a registry on this machine is reached without the proxy, which would hear its tokens', async () => {
  const server = new RegistryServer()
  await server.listen()
  server.settings.token = 'secret'
  const all = { HTTPS_PROXY: `http://127.0.0.1:${portOf(proxy)}`, HTTP_PROXY: `http://127.0.0.1:${portOf(proxy)}` }
  const path = await pull(all, server.addOllama(ollamaModel({}, randomBytes(1000))))
  expect(readFileSync(path)).toHaveLength(1000)
  expect(connects).toEqual([])
  await server.stop()
})

test.each([
  ['205 Reset Content', 'is wrong: it is not JSON'],
  ['999 Odd', 'answered 999 Odd, expected a status from 200 to 599'],
  ['404 Not\u0001 Found', 'has no model'],
  ['418 Tea\u001b[2Jpot', 'answered 418 Tea[2Jpot'],
])('past a proxy, the answer %j is an error in one line', async (line, says) => {
  const odd = createTcp((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(`HTTP/1.1 ${line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`, 'latin1'))
  })
  await listening(odd)
  const output = await pull({ HTTP_PROXY: 'http://127.0.0.1:9' }, `127.0.0.1:${portOf(odd)}/user/mixtral`)
  odd.close()
  expect(output).toContain(says)
  expect(output).not.toContain('\n')
})

test('a proxy that refuses is told, and NO_PROXY goes around it', async () => {
  const HTTPS_PROXY = `http://127.0.0.1:${portOf(proxy)}`
  expect(await pull({ HTTPS_PROXY })).toContain('the proxy answered 407 Proxy Authentication Required')
  connects.length = 0
  expect(await pull({ HTTPS_PROXY, NO_PROXY: 'test' })).toContain('the connection to registry.test failed')
  expect(connects).toEqual([])
})
