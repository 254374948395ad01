// Ctrl-C and closed pipes.

import { expect, test } from 'vitest'
import { endless, mixtral } from './mixtral.js'

const babble = ['--temperature', '9', '--top-k', '0', '--top-p', '1', '--min-p', '0', '--threads', '1']

test('Ctrl-C during run keeps the text so far, prints the summary and exits with 130', async () => {
  const { code, stdout, stderr } = await mixtral(['run', endless, '--temperature', '0', '--threads', '1'], {
    atFirstOutput: (child) => child.kill('SIGINT'),
  })
  expect(code).toBe(130)
  expect(stdout).toMatch(/^W.*\n$/s)
  expect(stderr).toMatch(/^interrupted; answer \d+ tokens?(, [\d.]+ tokens\/s)?; loaded in [\d.]+ s\n$/)
})

test('Ctrl-C during an answer of chat ends the answer and not the chat', async () => {
  const { code, stdout } = await mixtral(['chat', ...babble], {
    input: 'Babble.\n/clear\nAgain.\n',
    atFirstOutput: (child) => child.kill('SIGINT'),
  })
  expect(code).toBe(0)
  expect(stdout).toMatch(/^.+\n.+\n$/s)
})

test('a reader that closes the pipe ends the command without an error', async () => {
  const { code, stderr } = await mixtral(['run', endless, '--threads', '1'], { atFirstOutput: (child) => child.stdout.destroy() })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})

test('SIGTERM during an answer of chat ends the chat', async () => {
  const { code, stdout } = await mixtral(['chat', ...babble], {
    input: 'Babble.\n/clear\nAgain.\n',
    atFirstOutput: (child) => child.kill('SIGTERM'),
  })
  expect(code).toBe(143)
  expect(stdout).toMatch(/^.+\n$/s)
})

test('run --json reports of an interrupted text how to make it again', async () => {
  const { code, stdout } = await mixtral(['run', 'demo', '-', '--context', '60000', '--threads', '1', '--json'], {
    input: 'Once upon a time. '.repeat(10_000),
    nodeFlags: ['--import', new URL('interruptAtWork.mjs', import.meta.url).href],
  })
  expect(code).toBe(130)
  const { finish_reason, seed, prompt_tokens } = JSON.parse(stdout)
  expect(finish_reason).toBe('interrupted')
  expect(seed).toEqual(expect.any(Number))
  expect(prompt_tokens).toBeGreaterThan(10_000)
})

test('a closed stderr does not change the exit code', async () => {
  const { code } = await mixtral(['inspect', '/no/such/file.gguf'], { atStart: (child) => child.stderr.destroy() })
  expect(code).toBe(1)
})
