// Replicas as examples/replicas has them: three processes behind nginx, of which one is killed, drained or restarted
// while it answers. On machines without nginx this is skipped, with a warning; where CI is set, it fails.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capital, endless, type Json, until } from './served.js'

const example = (file: string) => fileURLToPath(new URL(`../../../examples/replicas/${file}`, import.meta.url))
// Plain JavaScript without types, hence not a static import.
const { resumingStream } = await import(new URL('../../../examples/replicas/resuming.mjs', import.meta.url).href)
const nginx = [...process.env.PATH!.split(':'), '/usr/sbin'].map((folder) => path.join(folder, 'nginx')).find((file) => existsSync(file))
if (!nginx) console.warn('nginx is not installed: examples/replicas is not tested')

describe.skipIf(!nginx && !process.env.CI)('three replicas behind nginx', () => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'mixtral-replicas-'))
  /** Processes by their ports. */
  const running = new Map<number, number>()
  let said: string[] = []
  let replicas: ChildProcess
  let proxy: ChildProcess
  let url: string

  beforeAll(async () => {
    const [port, first] = [await freePorts(1), await freePorts(3)]
    replicas = spawn(process.execPath, [example('replicas.mjs'), 'demo', '3', `${first}`], { stdio: ['ignore', 'pipe', 'ignore'] })
    createInterface({ input: replicas.stdout! }).on('line', (line) => {
      said.push(line)
      const [, at, pid] = /^(\d+) is ready, process (\d+)$/.exec(line) ?? []
      if (at) running.set(Number(at), Number(pid))
      else running.delete(Number.parseInt(line, 10))
    })
    proxy = startNginx(scratch, port, first)
    url = `http://127.0.0.1:${port}`
    await until(() => running.size === 3)
    await until(() => fetch(`${url}/health`).then(({ ok }) => ok, () => false)) // biome-ignore format: one question
  }, 120_000)

  afterAll(async () => {
    replicas?.kill('SIGTERM')
    if (replicas && replicas.exitCode === null) await once(replicas, 'exit')
    proxy?.kill('SIGTERM')
    if (proxy && proxy.exitCode === null) await once(proxy, 'exit')
    rmSync(scratch, { recursive: true })
  })

  const post = (body: object, session = '') =>
    fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { 'x-session-id': session }, body: JSON.stringify(body) })

  /** A number of each replica's metrics, by its port. */
  async function metrics(name: string): Promise<Map<number, number>> {
    const found = await Promise.all(
      [...running.keys()].map(async (port) => {
        const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
        const rows = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)$`, 'gm'))]
        return [port, rows.reduce((sum, [, value]) => sum + Number(value), 0)] as const
      }),
    )
    return new Map(found)
  }

  /** The replica that answers. */
  async function busy(): Promise<number> {
    const inside = [...(await metrics('mixtral_requests_inside'))].filter(([, requests]) => requests > 0)
    expect(inside).toHaveLength(1)
    return inside[0]![0]
  }

  const chunksOf = (data: readonly string[]): Json[] => data.filter((one) => one !== '[DONE]').map((one) => JSON.parse(one))

  test.each([
    ['/v1/completions', 'one answer', { prompt: endless, max_tokens: -1, ignore_eos: true, seed: 7 }],
    ['/v1/completions', 'two answers', { prompt: endless, max_tokens: -1, ignore_eos: true, seed: 7, n: 2 }],
    ['/v1/chat/completions', 'a chat', { messages: [{ role: 'user', content: 'Tell a story.' }], seed: 8, n: 2, ignore_eos: true }],
  ])(
    'a stream goes on when its replica is killed: %s, %s',
    async (route, _, body) => {
      await until(() => running.size === 3)
      const texts = (data: readonly string[]) => {
        const answers: string[] = []
        for (const { choices } of chunksOf(data)) {
          for (const { index, text, delta } of choices) answers[index] = (answers[index] ?? '') + (text ?? delta.content ?? '')
        }
        return answers
      }
      const undisturbed = await all(resumingStream(url + route, body))
      const resumed: string[] = []
      const data: string[] = []
      for await (const one of resumingStream(url + route, body, { onResume: (id: string) => resumed.push(id) })) {
        data.push(one)
        if (data.length === 5) process.kill(running.get(await busy())!, 'SIGKILL')
      }
      expect(resumed[0]).toMatch(/^m1\./)
      expect(texts(data)).toEqual(texts(undisturbed))
      expect(data).toHaveLength(undisturbed.length)
      // not even the ids of the answer tell that two have written it
      expect(new Set(chunksOf(data).map(({ id, created }) => `${id} ${created}`)).size).toBe(1)
    },
    120_000,
  )

  test('a replica that is told to end finishes its streams; what is new goes elsewhere', async () => {
    await until(() => running.size === 3)
    const body = { prompt: endless, max_tokens: -1, ignore_eos: true, n: 8, seed: 1 }
    const data: string[] = []
    let draining: number | undefined
    for await (const one of resumingStream(`${url}/v1/completions`, body, { headers: { 'x-session-id': 'drained' }, attempts: 0 })) {
      data.push(one)
      if (data.length > 1) continue
      draining = await busy()
      process.kill(running.get(draining)!, 'SIGTERM')
      const health = () => fetch(`http://127.0.0.1:${draining}/health`)
      await until(async () => (await health()).status === 503)
      const direct = await fetch(`http://127.0.0.1:${draining}/v1/completions`, { method: 'POST', body: '{"prompt": "x"}' })
      expect([direct.status, direct.headers.get('retry-after')]).toEqual([503, '2'])
      const answer = await post({ messages: capital, temperature: 0 }, 'drained')
      expect([answer.status, (await answer.json()).choices[0].message.content]).toEqual([200, 'The capital of France is Paris.'])
    }
    expect(chunksOf(data).filter(({ choices }) => choices[0]?.finish_reason).length).toBe(8)
    await until(() => said.includes(`${draining} has ended: 0`))
  }, 120_000)

  test('requests of a session meet one replica, sessions are spread over all', async () => {
    await until(() => running.size === 3)
    const count = () => metrics('mixtral_answers_total')
    const added = (before: Map<number, number>, after: Map<number, number>) => [...after].map(([port, n]) => n - before.get(port)!)
    const asked = { messages: capital, max_tokens: 1 }
    const before = await count()
    for (let i = 0; i < 6; i++) await (await post({ ...asked, seed: i }, 'one')).text()
    const after = await count()
    expect(added(before, after).toSorted()).toEqual([0, 0, 6])
    for (let i = 0; i < 40; i++) await (await post(asked, `session ${i}`)).text()
    expect(Math.min(...added(after, await count()))).toBeGreaterThan(0)
  })

  test('a conversation without a session meets the replica that has its beginning in the cache', async () => {
    await until(() => running.size === 3)
    const system = { role: 'system', content: `You are helpful. ${'Be brief. '.repeat(30)}` }
    const messages: Json[] = [system]
    const cached: number[] = []
    for (const content of ['What is 7 + 5?', 'What is the capital of France?', 'Who are you?']) {
      messages.push({ role: 'user', content })
      const { choices, usage } = await (await post({ messages, temperature: 0 })).json()
      messages.push(choices[0].message)
      cached.push(usage.prompt_tokens_details.cached_tokens)
    }
    expect(cached[1]).toBeGreaterThan(100)
    expect(cached[2]).toBeGreaterThan(cached[1]!)
  })

  test('all are restarted one after the other, and no request fails', async () => {
    await until(() => running.size === 3)
    const before = new Set(running.values())
    said = []
    replicas.kill('SIGHUP')
    let asked = 0
    while (!said.includes('all have been restarted')) {
      const response = await post({ messages: capital, temperature: 0 }, `session ${asked++}`)
      expect([response.status, (await response.json()).choices?.[0].message.content]).toEqual([200, 'The capital of France is Paris.'])
    }
    expect([...running.values()].filter((pid) => before.has(pid))).toEqual([])
  }, 120_000)

  test('where no replica answers, clients are told to come again', async () => {
    replicas.kill('SIGTERM')
    await once(replicas, 'exit')
    const response = await post({ messages: capital })
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2'])
    expect((await response.json()).error.type).toBe('unavailable_error')
  })
})

async function all(data: AsyncIterable<string>): Promise<string[]> {
  const list: string[] = []
  for await (const one of data) list.push(one)
  return list
}

function startNginx(scratch: string, port: number, first: number): ChildProcess {
  if (!nginx) throw new Error('nginx is not installed, and CI is set')
  mkdirSync(path.join(scratch, 'logs'))
  const config = readFileSync(example('nginx.conf'), 'utf8')
    .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
    .replace(/127\.0\.0\.1:808([123])/g, (_, i) => `127.0.0.1:${first + Number(i) - 1}`)
  const user = process.getuid?.() === 0 ? 'user root;\n' : ''
  writeFileSync(path.join(scratch, 'nginx.conf'), user + config)
  return spawn(nginx, ['-p', scratch, '-c', path.join(scratch, 'nginx.conf'), '-e', 'stderr', '-g', 'daemon off;'], { stdio: 'ignore' })
}

/** The first of some ports that follow each other, and were free a moment ago. */
async function freePorts(count: number): Promise<number> {
  const listening = (port: number) =>
    new Promise<number>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(-1))
      server.listen(port, '127.0.0.1', () => {
        const { port } = server.address() as { port: number }
        server.close(() => resolve(port))
      })
    })
  for (;;) {
    const first = await listening(0)
    const others = await Promise.all(Array.from({ length: count - 1 }, (_, i) => listening(first + i + 1)))
    if (!others.includes(-1)) return first
  }
}
