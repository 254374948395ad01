import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mixtral } from './mixtral.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'mixtral-serve-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Runs the command until `use` has ended, and then sends SIGTERM. */
async function serving(
  args: readonly string[],
  use: (url: string, kill: () => void) => Promise<unknown>,
  settings: { readonly nodeFlags?: readonly string[]; readonly env?: Record<string, string>; readonly closesOutput?: boolean } = {},
) {
  let used: unknown
  const ended = await mixtral(['serve', '--port', '0', ...args], {
    ...settings,
    atStart(child) {
      if (settings.closesOutput) child.stdout.destroy()
      let said = ''
      child.stderr.on('data', async (text) => {
        said += text
        const [, url] = /at (http:\S+):/.exec(said) ?? []
        if (url === undefined || used !== undefined) return
        const kill = () => child.kill('SIGTERM')
        used = use(url, kill)
        await (used as Promise<unknown>).finally(() => child.killed || kill())
      })
    },
  })
  return { ...ended, used: await used }
}

const ask = async (url: string, body: object, headers = {}) => {
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body), headers })
  return [response.status, await response.json()] as const
}
const chat = { temperature: 0, messages: [{ role: 'user', content: 'What is the capital of France?' }] }

test('it serves until a signal comes, and writes a line of JSON for each request', async () => {
  const { code, stdout, stderr, used } = await serving(['demo', '--parallel', '2', '--kv-tokens', '1024'], (url) =>
    ask(url, { ...chat, model: 'demo' }),
  )
  expect(used).toMatchObject([200, { model: 'demo', choices: [{ message: { content: 'The capital of France is Paris.' } }] }])
  const lines = stdout.trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { route: '/v1/chat/completions', status: 200, outcome: 'done', completionTokens: 7 },
  ])
  expect(stderr).toMatch(/^demo at http:\/\/127\.0\.0\.1:\d+: 2 answers at one time, each of up to 512 tokens, 1024 in all\n/)
  expect(stderr).not.toContain('WARNING')
  expect(code).toBe(0)
})

test('keys come from a file, and a running answer is finished after the signal', async () => {
  const file = path.join(folder, 'keys.txt')
  writeFileSync(file, '# of users\nfirst\nsecond\n')
  const { code, stdout, stderr, used } = await serving(
    ['demo', '--api-key-file', file, '--no-log', '--name', 'mine'],
    async (url, kill) => {
      const body = { prompt: 'KING RICHARD III:\n', max_tokens: 100, ignore_eos: true, stream: true }
      const running = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'x-api-key': 'second' },
      })
      const [status] = await ask(url, chat)
      kill()
      return [status, running.status, await running.text()]
    },
  )
  const [refused, status, text] = used as [number, number, string]
  expect([refused, status]).toEqual([401, 200])
  expect(text).toContain('"model":"mine"')
  expect(text).toContain('"finish_reason":"length"')
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  expect(stderr).toContain(': 8 answers at one time, each of up to 512 tokens, 4096 in all\n') // a context for each
  expect([code, stdout]).toEqual([0, ''])
})

test('a set-up of OpenTelemetry that is loaded before the command gets spans', async () => {
  const tracing = new URL('modules/consoleTracing.mjs', import.meta.url).href
  const { code, stderr } = await serving(['demo', '--no-log'], (url) => ask(url, { ...chat, model: 'demo' }), {
    nodeFlags: ['--import', tracing],
  })
  expect(stderr).toContain('\nspan chat demo 7\n')
  expect(code).toBe(0)
})

test('requests have the time that --timeout gives them', async () => {
  const { used } = await serving(['demo', '--no-log', '--timeout', '1'], async (url) => {
    const body = JSON.stringify({ prompt: 'KING RICHARD III:\n', n: 128, max_tokens: 500, ignore_eos: true })
    const response = await fetch(`${url}/v1/completions`, { method: 'POST', body })
    return [response.status, (await response.json()).error.code]
  })
  expect(used).toEqual([504, 'timeout'])
})

test('a file without a key, and one that is not there, open nothing', async () => {
  const file = path.join(folder, 'none.txt')
  writeFileSync(file, '\n')
  expect(await mixtral(['serve', '--api-key-file', file])).toMatchObject({ code: 2, stderr: expect.stringContaining('no key in') })
  expect(await mixtral(['serve', '--api-key-file', `${file}.gone`])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('cannot read'),
  })
})

test('without a model it serves those of the machine, and says when one is loaded and unloaded', async () => {
  const env = { MIXTRAL_HOME: path.join(folder, 'own'), OLLAMA_MODELS: path.join(folder, 'ollama'), HF_HUB_CACHE: path.join(folder, 'hub') }
  const args = ['--keep-alive', '1h', '--threads', '1', '--no-log']
  const { code, stderr, used } = await serving(
    args,
    async (url) => {
      const answers = [await ask(url, chat), await ask(url, { ...chat, model: 'nobody' })]
      const { models } = await (await fetch(`${url}/api/ps`)).json()
      const body = JSON.stringify({ model: 'demo', keep_alive: 0 })
      await (await fetch(`${url}/api/generate`, { method: 'POST', body })).text()
      return [answers.map(([status]) => status), models.length, Math.round((Date.parse(models[0].expires_at) - Date.now()) / 60_000)]
    },
    { env },
  )
  expect(used).toEqual([[200, 404], 1, 60])
  expect(stderr).toMatch(
    /^the models of this machine at http:\S+: loaded when they are asked for, unloaded 3600 seconds after their last request\ndemo: loaded in [\d.]+ s, [\d.]+ MB of memory\ndemo: unloaded\n/,
  )
  expect(code).toBe(0)
})

test('SIGTERM during a load ends it', async () => {
  const { code, used } = await serving(['--models', 'demo', '--threads', '1', '--grace', '60', '--no-log'], async (url, kill) => {
    const waiting = ask(url, chat)
    setTimeout(kill, 30)
    return (await waiting)[0]
  })
  expect([200, 503]).toContain(used)
  expect(code).toBe(0)
})

test('flags of a catalog go without a model, and its models must be there', async () => {
  expect(await mixtral(['serve', 'demo', '--keep-alive', '-1'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--keep-alive goes without MODEL'),
  })
  expect(await mixtral(['serve', '--name', 'x'])).toMatchObject({ code: 2, stderr: expect.stringContaining('--name') })
  expect(await mixtral(['serve', '--keep-alive', 'soon'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--keep-alive is "soon", expected seconds'),
  })
  expect(await mixtral(['serve', '--models', 'nobody-has-this'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no model "nobody-has-this:latest" on this machine'),
  })
})

test('it goes on when nobody reads its log any more, and says so once', async () => {
  const { code, stderr, used } = await serving(
    ['demo', '--threads', '1'],
    async (url) => {
      const asked = async () => (await fetch(`${url}/health`)).status
      return [await asked(), await asked(), await asked()]
    },
    { closesOutput: true },
  )
  expect(used).toEqual([200, 200, 200])
  expect(stderr.match(/requests are not logged any more/g)).toHaveLength(1)
  expect(code).toBe(0)
})
