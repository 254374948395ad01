// `mixtral eval`: its tables, its JSON, what it refuses, and runs that are stopped and go on.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { type Ended, mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-eval-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string) => fileURLToPath(new URL(`../../evaluation/tasks/files/${name}`, import.meta.url))
const lines = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0)

/** So many items that a run takes a while. */
const many = join(folder, 'many.jsonl')
const ITEMS = 120
const rows = Array.from({ length: ITEMS }, (_, i) => ({
  id: `made-${i}`,
  question: `${'The king came with his lords and all the people were silent. '.repeat(6)}Who was number ${i}?`,
  choices: { text: ['the king of the sea', 'a goat', `a man named ${i}`, 'the people'], label: ['A', 'B', 'C', 'D'] },
  answerKey: 'ABCD'[i % 4],
}))
writeFileSync(many, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))

test('prints accuracies, their standard errors, and the hash of all scores', async () => {
  const { code, stdout, stderr } = await mixtral(['eval', 'hellaswag', file('hellaswag.jsonl')])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(
    /^hellaswag: 8 items, 0 examples before each\nmodel {5}demo, 2 experts for each token\nacc {7}0\.\d{4} ± 0\.\d{4}\nacc_norm {2}0\.\d{4} ± 0\.\d{4}\nscores {4}sha256 [0-9a-f]{64}\n$/,
  )
})

test('of MMLU, it prints subjects and groups, too', async () => {
  const args = ['eval', 'mmlu', file('mmlu.jsonl'), '-m', 'demo', '--shots', '1', '--examples', file('mmlu_dev.jsonl'), '-c', '60']
  const { code, stdout } = await mixtral(args)
  expect(code).toBe(0)
  expect(stdout).toMatch(/^subject +items +acc\nanatomy +3 +[01]\.\d{4} ± 0\.\d{4}\n/)
  expect(stdout).toMatch(/^sociology .*\ngroup +items +acc\nstem +3 /m)
  expect(stdout).toMatch(/^social_sciences +3 +[01]\.\d{4} ± 0\.\d{4}$/m)
  expect(stdout).toMatch(/^mmlu: 10 items, 1 example before each\n\d+ of them longer than the context: their first tokens were left out$/m)
})

test('--json is one object, by the names of lm-eval', async () => {
  const args = ['eval', 'mmlu', file('mmlu.jsonl'), '--limit', '1', '--experts', '3', '--threads', '1', '--json']
  const { code, stdout, stderr } = await mixtral(args)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { seconds, scores_sha256, acc, subjects, groups, ...rest } = JSON.parse(stdout)
  expect(rest).toEqual({
    model: 'demo',
    file: file('mmlu.jsonl'),
    experts_per_token: 3,
    task: 'mmlu',
    shots: 0,
    items: 4,
    acc_stderr: null,
    cut: 0,
  })
  expect(seconds).toBeGreaterThan(0)
  expect(scores_sha256).toMatch(/^[0-9a-f]{64}$/)
  expect(Object.keys(subjects)).toEqual(['anatomy', 'business_ethics', 'high_school_world_history', 'sociology'])
  expect(groups.stem).toEqual({ items: 1, acc: subjects.anatomy.acc, acc_stderr: null })
  expect(acc * 4).toBe(Object.values<{ acc: number }>(subjects).reduce((sum, { acc }) => sum + acc, 0))
})

test('killed with SIGKILL and run again, it ends with the result and the items of an uninterrupted run', { timeout: 60_000 }, async () => {
  const args = (out: string) => ['eval', 'arc_easy', many, '--threads', '1', '--json', '--out', join(folder, out)]
  const outcome = ({ code, stdout }: Ended) => ({ code, ...JSON.parse(stdout), seconds: 0 })
  const whole = await mixtral(args('whole.jsonl'))
  const out = join(folder, 'killed.jsonl')
  const killed = await mixtral(args('killed.jsonl'), {
    atStart: (child) => {
      const look = setInterval(() => {
        if (lines(out) < 4) return
        clearInterval(look)
        child.kill('SIGKILL')
      }, 1)
    },
  })
  expect(killed).toMatchObject({ code: null, stdout: '' })
  const kept = readFileSync(out, 'utf8')
  expect(lines(out)).toBeGreaterThanOrEqual(4)
  expect(lines(out)).toBeLessThan(ITEMS)
  writeFileSync(out, kept.slice(0, -5)) // as if the kill had come in the middle of a line
  const again = await mixtral(args('killed.jsonl'))
  expect(outcome(again)).toEqual(outcome(whole))
  expect(readFileSync(out)).toEqual(readFileSync(join(folder, 'whole.jsonl')))
})

test.each([false, true])('Ctrl-C tells what there is so far; with --json %s', { timeout: 60_000 }, async (json) => {
  const out = join(folder, `stopped-${json}.jsonl`)
  const { code, stdout } = await mixtral(['eval', 'arc_easy', many, '--threads', '1', '--out', out, ...(json ? ['--json'] : [])], {
    atStart: (child) => {
      const look = setInterval(() => {
        if (lines(out) < 4) return
        clearInterval(look)
        child.kill('SIGINT')
      }, 1)
    },
  })
  expect(code).toBe(130)
  if (!json) expect(stdout).toMatch(/^interrupted after \d+ of 120 items: acc [01]\.\d{4} ± 0\.\d{4}; the same command goes on there\n$/)
  else expect(JSON.parse(stdout)).toMatchObject({ interrupted: true, task: 'arc_easy', of_items: 120, acc: expect.any(Number) })
})

const demo = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))

test.each([
  [['hellaswag'], 2, /FILE is missing/],
  [['gsm8k', many], 2, /gsm8k.*hellaswag, arc_easy, arc_challenge, mmlu, winogrande/],
  [['arc_easy', many, '--examples', many], 2, /--examples is given without --shots, expected how many of them/],
  [['arc_easy', many, '--shots', '1001'], 2, /--shots.*whole number from 0 to 1000/],
  [['arc_easy', many, '--experts', '9'], 2, /is 9, expected a whole number from 1 to 8/],
  [['mmlu', many], 1, /many\.jsonl, line 1: has no subject, but id, question, choices, answerKey, expected/],
  [['mmlu', join(folder, 'none')], 1, /cannot open .*none/],
  [
    ['arc_easy', many, '--out', file('hellaswag.jsonl')],
    1,
    /hellaswag\.jsonl, line 1: is not of an earlier run, expected the output of one/,
  ],
  [['arc_easy', many, '--out', many], 2, /is an input, expected another name for the output/],
  [['arc_easy', many, '-m', demo, '--out', demo], 2, /is an input, expected another name for the output/],
])('%j is refused', async (args, code, message) => {
  expect(await mixtral(['eval', ...args])).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) })
})

test('without hyparquet, a Parquet file is refused with what to do', async () => {
  const hook = `import { register } from 'node:module'
const source = 'export const resolve = (name, context, next) => { if (name === "hyparquet") throw new Error("not here"); return next(name, context) }'
register('data:text/javascript,' + encodeURIComponent(source))`
  const path = join(folder, 'without.mjs')
  writeFileSync(path, hook)
  const { code, stderr } = await mixtral(['eval', 'mmlu', file('mmlu.parquet')], { nodeFlags: ['--import', path] })
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /mmlu\.parquet is a Parquet file, and the package hyparquet is not installed, expected it beside this one \(npm install hyparquet\), or/,
  )
})
