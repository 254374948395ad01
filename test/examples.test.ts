// The examples are run as a reader runs them; replicas, which need nginx, in test/interfaces/server/replicas.test.ts.
// Those for Deno and Bun, whose runtimes are not part of a checkout, are run by test/everywhere, which fails where it
// cannot get a runtime.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runtimes } from './everywhere/runtimes.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

function start(file: string, env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [`examples/${file}`], { cwd: root, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] })
}

/** What an example prints to the end, and its exit code. */
async function run(file: string, input = ''): Promise<{ code: number; stdout: string }> {
  const child = start(file)
  let stdout = ''
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stdin!.end(input)
  const [code] = await once(child, 'close')
  return { code, stdout }
}

test('every example is run, here or by test/everywhere', () => {
  const folders = readdirSync(`${root}examples`, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const elsewhere = runtimes.map(({ project }) => project)
  const expected = new Set([
    ...['ai-sdk', 'batch', 'experts', 'hono-server', 'http-handler', 'langchain', 'rank', 'replicas', 'script', 'terminal-chat', 'tools'],
    ...elsewhere,
  ])
  expect(folders.map(({ name }) => name).toSorted()).toEqual([...expected].toSorted())
})

test('script writes a story and its figures', async () => {
  const { code, stdout } = await run('script/story.mjs')
  expect(stdout).toMatch(/^Once upon a time, there was a child named .+\n5 tokens read, 60 written, ended by length\n$/s)
  expect(code).toBe(0)
})

test('terminal-chat answers line after line, and ends with an empty one', async () => {
  const { code, stdout } = await run('terminal-chat/chat.mjs', 'What is the capital of France?\nWhat is 7 + 5?\n\n')
  expect(stdout).toBe('> The capital of France is Paris.\n> 7 + 5 = 12.\n> ')
  expect(code).toBe(0)
})

test('tools asks for calls, sends back what they return, and ends with a text', async () => {
  const { code, stdout } = await run('tools/agent.mjs')
  expect(stdout).toMatch(/^(weather\(\{"city": "(Paris|Rome|Oslo)"\}\) = \{"city":"(Paris|Rome|Oslo)","celsius":\d+\}\n){1,2}[^\n]+\n$/)
  expect(code).toBe(0)
})

test('ai-sdk streams a text, and gives an object and embeddings', async () => {
  const { code, stdout } = await run('ai-sdk/objects.mjs')
  expect(stdout).toMatch(/^I am a tiny mixture of experts\. .*\n\{"city":"(Paris|Rome)","large":(true|false)\}\ntrue\n$/)
  expect(code).toBe(0)
})

test('langchain streams a chain, and gives an object', async () => {
  const { code, stdout } = await run('langchain/chain.mjs')
  expect(stdout).toMatch(/^The capital of France is Paris\.\n(Paris|Rome)\n$/)
  expect(code).toBe(0)
})

test('batch answers all texts', async () => {
  const { code, stdout } = await run('batch/summaries.mjs')
  expect(stdout.trimEnd().split('\n')).toHaveLength(20)
  expect(code).toBe(0)
})

test('rank finds the answer that the model would give', async () => {
  const { code, stdout } = await run('rank/rank.mjs')
  expect(stdout).toMatch(/^Paris -\d+\.\d{3} -\d+\.\d{3}\nLondon .*\nRome .*\nThe capital of France is Paris\. -0\.\d{3} -0\.\d{3}\n$/)
  expect(code).toBe(0)
})

test('experts counts two experts for each token in each layer', async () => {
  const { code, stdout } = await run('experts/experts.mjs')
  const layers = [...stdout.matchAll(/^layer \d: (.*)$/gm)].map(([, counts]) =>
    counts!.split(' ').reduce((sum, count) => sum + Number(count), 0),
  )
  const tokens = [...stdout.matchAll(/^\S+ \d,\d$/gm)]
  expect(tokens.length).toBeGreaterThan(5)
  expect(layers).toEqual(new Array(6).fill(2 * tokens.length))
  expect(code).toBe(0)
})

describe('hono-server', () => {
  let server: ChildProcess
  let address: string
  beforeAll(async () => {
    server = start('hono-server/server.mjs', { PORT: '0' })
    address = (await createInterface({ input: server.stdout! })[Symbol.asyncIterator]().next()).value
  })
  afterAll(() => void server.kill())
  const post = (body: string) => fetch(address, { method: 'POST', body })
  const asking = (content: string) => JSON.stringify({ messages: [{ role: 'user', content }] })

  test('streams answers, also many at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 4 }, () => post(asking('What is the capital of France?'))))
    for (const answer of answers) expect([answer.status, await answer.text()]).toEqual([200, 'The capital of France is Paris.'])
  })

  test('goes on after a client has left', async () => {
    const leaving = new AbortController()
    const response = await fetch(address, { method: 'POST', body: asking('KING RICHARD III:\n'), signal: leaving.signal })
    leaving.abort()
    await expect(response.text()).rejects.toThrow()
    expect(await (await post(asking('What is 7 + 5?'))).text()).toBe('7 + 5 = 12.')
  })

  test.each([
    ['no JSON', 'nonsense', 'JSON'],
    ['no messages', '{}', 'no messages'],
    ['too many tokens', asking('word '.repeat(600)), 'tokens too many'],
  ])('refuses %s', async (_, body, says) => {
    const response = await post(body)
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(says)])
  })
})

describe('http-handler', () => {
  let server: ChildProcess
  let lines: AsyncIterator<string>
  let address: string
  const nextLine = async () => (await lines.next()).value as string

  beforeAll(async () => {
    server = start('http-handler/server.mjs', { PORT: '0' })
    lines = createInterface({ input: server.stdout! })[Symbol.asyncIterator]()
    address = await nextLine()
  })
  afterAll(() => void server.kill())

  /** POSTs a body; the answer, once its headers are here. */
  const post = (body: string) => fetch(address, { method: 'POST', body })
  const asking = (content: string) => JSON.stringify([{ role: 'user', content }])

  test('streams an answer', async () => {
    const response = await post(asking('What is the capital of France?'))
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
    expect(await response.text()).toBe('The capital of France is Paris.')
    expect(await nextLine()).toBe('answered')
  })

  test('answers requests at the same time one after the other, each with its own text', async () => {
    const answers = await Promise.all([post(asking('What is 7 + 5?')), post(asking('Who are you?'))])
    const [sum, name] = await Promise.all(answers.map((response) => response.text()))
    expect([sum, name]).toEqual(['7 + 5 = 12.', expect.stringContaining('I am a tiny mixture of experts.')])
    expect([await nextLine(), await nextLine()]).toEqual(['answered', 'answered'])
  })

  test('ends the answer of a client that leaves', async () => {
    const client = request(address, { method: 'POST' })
    client.on('error', () => {}) // it was ours to end
    client.end(asking('KING RICHARD III:\n')) // 400 tokens of a play, if nobody stops it
    const [response] = await once(client, 'response')
    await once(response, 'data')
    client.destroy()
    expect(await nextLine()).toBe('the client left')
  })

  test.each([
    ['what is no JSON', 'nonsense', 'not valid JSON'],
    ['what is no list of messages', '{}', 'the messages are an object, expected a list'],
    ['a conversation that is longer than the context', asking('word '.repeat(600)), 'the context has room for 512'],
    ['a body of more than a megabyte', 'x'.repeat(1_000_001), 'a request of more than 1000000 bytes'],
  ])('refuses %s', async (_, body, says) => {
    const response = await post(body)
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(says)])
    expect(await nextLine()).toContain(says)
  })
})
