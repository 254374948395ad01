import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { endless, main, mixtral } from './mixtral.js'

interface Greedy {
  readonly model: string
  readonly prompt: string
  readonly tokens: readonly number[]
  readonly text: string
}

const all: readonly Greedy[] = JSON.parse(readFileSync(new URL('../../golden/demo/greedy.json', import.meta.url), 'utf8'))
const golden = all.filter(({ model }) => model === 'tiny-mixtral.Q4_K_M.gguf')
const story =
  'Once upon a time, there was a child named Sam. He had a golden ring that he carried everywhere. But the golden ring fell into the water. ' +
  'Sam was very afraid. Then a kind old woman came by and said, "Do not worry. I will help you." They looked everywhere, and at last they ' +
  'found the golden ring. From that day on, Sam was calm. Sam learned to try again. And they lived happily ever after.\n'
const summary = /^prompt \d+ tokens?, [\d.]+ tokens\/s; answer \d+ tokens, [\d.]+ tokens\/s; loaded in [\d.]+ s\n$/

test('without arguments, the demo model tells its story', async () => {
  const { code, stdout, stderr } = await mixtral(['run'], { env: { CI: 'true', FORCE_COLOR: '1' } })
  expect({ code, stdout }).toEqual({ code: 0, stdout: story })
  expect(stderr).toMatch(summary)
})

test.each(golden)('greedy: $prompt', async ({ prompt, text, tokens }) => {
  const { code, stdout, stderr } = await mixtral(['run', 'demo', prompt, '--temperature', '0', '-n', `${tokens.length}`])
  expect({ code, stdout }).toEqual({ code: 0, stdout: text.endsWith('\n') ? text : `${text}\n` })
  expect(stderr).toMatch(summary)
})

test('one argument that is no model is a prompt; -, or a pipe without a prompt, reads it from standard input', async () => {
  const [asArgument, fromStdin, fromPipe] = await Promise.all([
    mixtral(['run', 'Once upon a time', '--temperature', '0', '-n', '3']),
    mixtral(['run', '-', '--temperature', '0', '-n', '3'], { input: 'Once upon a time\n' }),
    mixtral(['run', 'demo', '--temperature', '0', '-n', '3'], { input: 'Once upon a time\n' }),
  ])
  expect(asArgument.stdout).toBe(', there was\n')
  expect(fromStdin.stdout).toBe(asArgument.stdout)
  expect(fromPipe.stdout).toBe(asArgument.stdout)
})

test('without arguments, a pipe is not read, which is told if it has brought something', async () => {
  const open = spawn(process.execPath, [main, 'run', '-n', '3']) // its pipe stays open, and silent
  const [empty, ignored, told] = await Promise.all([mixtral(['run']), mixtral(['run'], { input: 'Who are you?' }), text(open.stderr)])
  expect(ignored.stdout).toBe(empty.stdout)
  expect(empty.stderr).not.toContain('standard input')
  expect(ignored.stderr).toContain('standard input was not read; as a prompt: mixtral run demo\n')
  expect(told).toMatch(summary)
})

test('--json prints one object on stdout and nothing on stderr', async () => {
  const { code, stdout, stderr } = await mixtral(['run', 'Once upon a time', '--json', '--seed', '5', '-n', '4', '--threads', '1'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({
    model: 'demo',
    prompt: 'Once upon a time',
    finish_reason: 'length',
    seed: 5,
    prompt_tokens: 5,
    threads: 1,
  })
  expect(result.tokens).toHaveLength(4)
  for (const rate of ['prefill_tokens_per_second', 'decode_tokens_per_second', 'load_seconds']) expect(result[rate]).toBeGreaterThan(0)
})

test('the same seed gives the same text; --stop ends before its text', async () => {
  const run = async (...flags: string[]) => (await mixtral(['run', endless, '--seed', '7', '-n', '30', ...flags])).stdout
  const [once, again, stopped] = await Promise.all([run(), run('--threads', '1'), run('--stop', 'zzz', '--stop', 'e')])
  expect(again).toBe(once)
  expect(stopped).toBe(`${once.slice(0, once.indexOf('e'))}\n`)
})

test.each<[string, string[], RegExp]>([
  ['a sampler', ['--samplers', 'foo'], /--samplers has "foo"/],
  ['an expression', ['--regex', '[0-9'], /the regular expression "\[0-9"/],
  ['numbers that do not go together', ['--min-tokens', '9', '-n', '3'], /--min-tokens is 9/],
  ['a switch alone', ['--post-sampling'], /--post-sampling is true, expected --logprobs/],
])('%s that is wrong is refused before the model is loaded', async (_, flags, message) => {
  for (const command of [
    ['run', 'demo', 'x'],
    ['chat', 'demo'],
  ]) {
    const { code, stdout, stderr } = await mixtral([...command, '--ram', '1M', ...flags])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
  }
})
