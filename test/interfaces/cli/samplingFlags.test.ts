// The flags that derive from the table of options: their help, their values, and that they reach the sampler.

import { Command } from 'commander'
import { expect, test } from 'vitest'
import { addSamplingFlags, generationOptions } from '../../../dist/interfaces/cli/samplingFlags.js'
import { generationTable } from '../../../dist/text/generate/generationTable.js'
import { mixtral } from './mixtral.js'

const rows = Object.entries(generationTable)

test.each(['run', 'chat'])('%s --help has every flag, with its default', async (command) => {
  const { stdout } = await mixtral([command, '--help'])
  const help = stdout.replaceAll(/\s+/g, ' ')
  for (const [, { flag, help: text, default: value, kind }] of rows) {
    const shownDefault = kind === 'number' || kind === 'whole' ? (value === undefined ? '' : ` (default: ${value})`) : ''
    expect(help).toContain(`${flag} ${text}${shownDefault}`.replaceAll(/\s+/g, ' '))
  }
})

test('flags become options, lists gather, and what is not given is left out', () => {
  const flags = { maxTokens: 5, topK: 3, ban: ['a'], logitBias: [[5, false]], ignoreEos: true, threads: 2, debug: true }
  expect(generationOptions(flags)).toEqual({ maxNewTokens: 5, topK: 3, bannedWords: ['a'], logitBias: [[5, false]], ignoreEos: true })
})

test('texts of flags may have line ends, tabs and backslashes in them', () => {
  const others = addSamplingFlags(new Command()).parse(['--stop', '\\t\\r\\\\n\\d', '--ban', '\\n'], { from: 'user' }).opts()
  expect(generationOptions(others)).toEqual({ stop: ['\t\r\\n\\d'], bannedWords: ['\n'] })
})

test.each<[args: string[], says: string]>([
  [['--logit-bias', 'tiny'], '--logit-bias is "tiny"'],
  [['--samplers', 'top_k,infill'], 'samplers has "infill"'],
  [['--mirostat', '3'], '--mirostat is "3", expected a whole number from 0 to 2'],
  [['--top-n-sigma', 'x'], '--top-n-sigma is "x"'],
  [['--stop-ids', '1,x'], '--stop-ids is "1,x"'],
  [['--logprobs', '21'], '--logprobs is "21"'],
])('mixtral run %j is wrong usage', async (args, says) => {
  const { code, stderr } = await mixtral(['run', 'demo', 'a', ...args])
  expect(code).toBe(2)
  expect(stderr).toContain(says)
})

test('flags reach the sampler, and log-probabilities are printed', async () => {
  const run = (...flags: string[]) => mixtral(['run', '[INST] Who are you? [/INST]', '--temperature', '0', '-n', '4', ...flags])
  const [biased, ordered, json] = await Promise.all([
    run('--logit-bias', 'I=false', '--ban', 'am', '--logprobs', '1'),
    run('--samplers', 'top_k;temperature', '--top-n-sigma', '-1', '--dry-sequence-breaker', '.', '--dry-multiplier', '1'),
    run('--json', '--logprobs', '2', '--post-sampling'),
  ])
  expect(biased.stdout).not.toMatch(/^I|am/)
  expect(biased.stderr).toMatch(/^( *-?\d+\.\d{4} {2}".*" +-?\d+\.\d{4} {2}".*"\n){4}/)
  expect(ordered.stdout).toBe('I am a tiny\n')
  const { logprobs } = JSON.parse(json.stdout)
  expect(logprobs.map(({ token, logprob }: { token: string; logprob: number }) => [token, logprob])).toEqual(
    ['I', ' am', ' a', ' tiny'].map((token) => [token, 0]),
  )
})
