import { expect, test } from 'vitest'
import { mixtral } from './mixtral.js'

test('tokenize prints a table of ids and pieces', async () => {
  expect(await mixtral(['tokenize', 'demo', 'Once upon é'])).toEqual({
    code: 0,
    stdout: ' 672  "▁Once"\n 600  "▁upon"\n1971  "▁"\n 198  "<0xC3>"  byte\n 172  "<0xA9>"  byte\n',
    stderr: '5 tokens\n',
  })
})

test('--special takes control tokens for tokens, --bos puts BOS first, neither is the default', async () => {
  const tokens = async (...flags: string[]) => JSON.parse((await mixtral(['tokenize', 'demo', 'a</s>', '--json', ...flags])).stdout).tokens
  const plain: number[] = await tokens()
  expect(plain).not.toContain(2)
  expect(await tokens('--bos')).toEqual([1, ...plain])
  expect(await tokens('--special')).toEqual([261, 2])
})

test.each([
  [['demo', '-'], 'Once upon\n'],
  [['demo'], 'Once upon\n'],
  [[], 'Once upon\n'],
  [['Once upon'], 'never read'],
])('tokenize %j with %j on standard input', async (args, input) => {
  const { stdout } = await mixtral(['tokenize', ...args, '--json'], { input })
  expect(JSON.parse(stdout)).toEqual({ tokens: [672, 600], pieces: ['▁Once', '▁upon'], count: 2 })
})
