import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { mixtral } from './mixtral.js'

const commands = [
  'run',
  'chat',
  'serve',
  'batch',
  'health',
  'pull',
  'list',
  'rm',
  'show',
  'inspect',
  'imatrix',
  'quantize',
  'tokenize',
  'logits',
  'trace',
  'perplexity',
  'eval',
  'experts',
  'convert',
  'verify',
  'bench',
]

test('--help lists every command on stdout', async () => {
  const { code, stdout, stderr } = await mixtral(['--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command}  `, 'm'))
})

test.each(commands)('mixtral %s --help explains the options and gives examples', async (command) => {
  const { code, stdout, stderr } = await mixtral([command, '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain(`Usage: mixtral ${command} `)
  expect(stdout).toMatch(new RegExp(`Examples:\n(.*\n)*.*mixtral ${command}`))
})

test.each(['', ...commands])('mixtral %s --help fits 80 columns', async (command) => {
  const { stdout } = await mixtral([command, '--help'].filter(Boolean))
  expect(stdout.split('\n').filter((line) => line.length > 80 && line.trim().includes(' '))).toEqual([])
})

test('--version is that of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
  expect(await mixtral(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

test('without a command, help goes to stderr and the usage was wrong', async () => {
  const { code, stdout, stderr } = await mixtral([])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('Usage: mixtral')
})
