// nginx in front of several servers, and the unit of systemd, as docs/serving.md has them. On machines without these
// programs the tests are skipped; where CI is set, they fail.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mixtral } from '../cli/mixtral.js'
import { capital, endless, type Json, type Started, sseEvents, until, withServer } from './served.js'

const page = readFileSync(new URL('../../../docs/serving.md', import.meta.url), 'utf8')
const block = (language: string) => new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'ms').exec(page)![1]!
const inCi = Boolean(process.env.CI)
const found = (name: string) =>
  [...process.env.PATH!.split(':'), '/usr/sbin'].map((folder) => path.join(folder, name)).find((file) => existsSync(file))
const nginx = found('nginx')
const systemdAnalyze = found('systemd-analyze')
for (const [name, file] of Object.entries({ nginx, 'systemd-analyze': systemdAnalyze })) {
  if (!file) console.warn(`${name} is not installed: what docs/serving.md says of it is not tested`)
}

const served = withServer({}, { sequences: 1 })
const scratch = mkdtempSync(path.join(tmpdir(), 'mixtral-proxy-'))
afterAll(() => rmSync(scratch, { recursive: true }))

describe.skipIf(!nginx && !inCi)('nginx in front of two servers', () => {
  let proxy: ChildProcess
  let url: string
  let servers: Started[]
  const chat = { temperature: 0, messages: capital }
  const post = (where: string, body: object, init: RequestInit = {}) =>
    fetch(`${url}${where}`, { method: 'POST', body: JSON.stringify(body), ...init })

  beforeAll(async () => {
    const options = { name: 'demo', maxQueue: 0, allowedHosts: ['llm.example.org'], stallSeconds: 2 }
    servers = [await served.start(options), await served.start(options)]
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    const config = block('nginx')
      .replace('listen 8080', `listen 127.0.0.1:${port}`)
      .replace('127.0.0.1:8081', `127.0.0.1:${servers[0]!.port}`)
      .replace('127.0.0.1:8082', `127.0.0.1:${servers[1]!.port}`)
    proxy = await startNginx(config, port)
  })
  afterAll(async () => {
    proxy.kill()
    await new Promise((resolve) => proxy.on('close', resolve))
  })

  test('pieces of a stream come as they are written, and the answer is the same', async () => {
    const release = await served.held()
    const response = await post('/v1/chat/completions', { ...chat, stream: true })
    const [now, later] = response.body!.tee()
    const reader = now.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('"role":"assistant"') // nothing is written yet
    void reader.cancel()
    await release()
    const events = await sseEvents(new Response(later, { headers: { 'content-type': 'text/event-stream' } }))
    expect(events.map(({ choices }) => choices[0].delta.content ?? '').join('')).toBe('The capital of France is Paris.')
    expect(response.headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/)
    await served.idle()
  })

  test('a request that finds a full queue goes to the other server; where both are full, it is told so', async () => {
    const release = await served.held()
    const leaving = new AbortController()
    const ask = () => post('/v1/completions', { prompt: endless, stream: true }, { signal: leaving.signal })
    const [first, second] = [await ask(), await ask()]
    expect([first.status, second.status]).toEqual([200, 200])
    const refused = await ask()
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2'])
    expect((await refused.json()).error.type).toBe('unavailable_error')
    leaving.abort()
    await until(() => servers.every(({ logs }) => logs.some(({ outcome }) => outcome === 'left')))
    await release()
    await served.idle()
  })

  test('who leaves through the proxy ends the work', async () => {
    const leaving = new AbortController()
    const response = await post('/v1/completions', { prompt: endless, max_tokens: -1, ignore_eos: true, stream: true }, leaving)
    await response.body!.getReader().read()
    leaving.abort()
    await served.idle()
  })

  test('the name of the host goes through, and the server checks it', async () => {
    const ask = (host: string) =>
      new Promise<Json>((resolve, reject) => {
        get(`${url}/v1/models`, { headers: { host } }, async (response) => resolve(JSON.parse(await text(response)))).on('error', reject)
      })
    expect((await ask('llm.example.org')).data[0].id).toBe('demo')
    expect((await ask('evil.example')).error.message).toBe('this host is not allowed: the server was started without --allow-host for it')
  })

  test('a server that has ended is passed over', async () => {
    await servers[0]!.close()
    for (let i = 0; i < 4; i++) {
      const response = await post('/v1/chat/completions', chat)
      expect((await response.json()).choices[0].message.content).toBe('The capital of France is Paris.')
    }
  })
})

describe('the unit of systemd', () => {
  const command = /^ExecStart=(.*)$/m.exec(block('ini'))![1]!

  test.skipIf(!systemdAnalyze)('is one that systemd knows', () => {
    const program = path.join(scratch, 'mixtral')
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 })
    const unit = path.join(scratch, 'mixtral@8081.service')
    writeFileSync(unit, block('ini').replace('/usr/bin/mixtral', program))
    execFileSync(systemdAnalyze!, ['verify', unit], { stdio: 'pipe' })
  })

  test('starts a server that health finds, and that ends in good order', async () => {
    writeFileSync(path.join(scratch, 'keys'), 'secret\n')
    const port = await freePort()
    const line = command.replaceAll('%i', String(port)).replaceAll(`\${CREDENTIALS_DIRECTORY}`, scratch).replace('mixtral:8x7b', 'demo')
    const [program, ...args] = line.split(' ')
    expect(program).toBe('/usr/bin/mixtral')
    let asked: Promise<unknown> | undefined
    const ended = await mixtral(args, {
      atStart(child) {
        child.stderr.on('data', () => {
          asked ??= mixtral(['health', `http://127.0.0.1:${port}`]).finally(() => child.kill('SIGTERM'))
        })
      },
    })
    expect([await asked, ended.code]).toMatchObject([{ code: 0, stdout: 'ok\n' }, 0])
  })
})

async function startNginx(config: string, port: number): Promise<ChildProcess> {
  if (!nginx) throw new Error('nginx is not installed, and CI is set')
  for (const folder of ['logs', 'tmp']) mkdirSync(path.join(scratch, folder))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path tmp/${name};`).join('\n')
  const user = process.getuid?.() === 0 ? 'user root;\n' : ''
  const whole = `${user}daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary}\n${config}}\n`
  writeFileSync(path.join(scratch, 'nginx.conf'), whole)
  const child = spawn(nginx, ['-p', scratch, '-c', path.join(scratch, 'nginx.conf'), '-e', 'stderr'], { stdio: 'ignore' })
  let ended: number | null | undefined
  child.on('close', (code) => {
    ended = code
  })
  await until(async () => {
    if (ended !== undefined) throw new Error(`nginx has ended with ${ended}`)
    return fetch(`http://127.0.0.1:${port}/health`).then(
      () => true,
      () => false,
    )
  })
  return child
}

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
