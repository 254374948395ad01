// `mixtral experts`: its tables, its files, and what it refuses.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { expertStatistics, MixtralModel } from '../../../dist/index.js'
import { expertsText } from '../../../dist/interfaces/cli/expertsText.js'
import { mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-experts-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string) => join(folder, name)
writeFileSync(file('story.txt'), 'Once upon a time, there was a young goat who wanted to see the world. '.repeat(20))
writeFileSync(file('play.txt'), 'KING RICHARD III:\nWhat says lord Stanley? will he bring his power?\n'.repeat(20))

test('prints a table for each domain, and writes the shares', async () => {
  const [csv, npy] = [file('shares.csv'), file('shares.npy')]
  const args = ['experts', 'demo', file('story.txt'), '--domain', `=a,b=${file('play.txt')}`, '--tokens', '100']
  const wrong = await mixtral(args)
  expect(wrong).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('expected a name, = and a file, such as code=main.c'),
  })
  args[4] = `a,b=${file('play.txt')}`
  const { code, stdout, stderr } = await mixtral([...args, '--csv', csv, '--npy', npy])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(
    /^demo: 6 layers of 8 experts, 2 for each token; windows of 512 tokens\n\nstory: 100 tokens, loss of load balancing \d\.\d{4}\n/,
  )
  expect(stdout).toMatch(/^if even {2}▄{8} {2}12\.5( 12\.5){7} +12\.5 % +46\.4 % +2\.079 +0\.000 +8\.00 +2\.000$/m)
  expect(stdout).toMatch(/^a,b: 100 tokens/m)
  expect(stdout).toMatch(/^all domains: 200 tokens/m)
  expect(stdout).toMatch(/^ {4}5 {2,}0\.\d{5} {2}too short$/m)
  const rows = readFileSync(csv, 'utf8').trimEnd().split('\n')
  expect(rows[0]).toBe('domain,layer,expert,share,share_of_choice_1,share_of_choice_2')
  expect(rows).toHaveLength(1 + 2 * 6 * 8)
  expect(rows[1 + 48]).toMatch(/^"a,b",0,0,0\.\d+/)
  const array = readFileSync(npy)
  expect(array.toString('latin1', 0, 128)).toContain("'shape': (2, 6, 8)")
  expect(array.length).toBe(128 + 2 * 6 * 8 * 4)
})

test('no line of figures is wider than the terminal', async () => {
  const model = await MixtralModel.load('demo', { contextLength: 64 })
  const statistics = await expertStatistics(model, [{ domain: 'story', text: readFileSync(file('story.txt'), 'utf8') }], { tokens: 60 })
  await model.close()
  const [narrow, usual, wide] = [60, 80, 200].map((width) => {
    const text = expertsText(statistics, { model: 'demo', spell: String, width })
    const lines = text.slice(text.indexOf('story:'), text.indexOf('Favorite')).trimEnd().split('\n')
    return {
      widest: Math.max(...lines.map((line) => line.length)),
      rows: lines.length,
      cells: lines.flatMap((line) => line.match(/\d+\.\d+/g) ?? []),
    }
  })
  expect([narrow!.widest <= 60, usual!.widest <= 80, wide!.widest <= 200]).toEqual([true, true, true])
  expect([wide!.rows, usual!.rows, narrow!.rows]).toEqual([9, 18, 27])
  for (const { cells } of [narrow!, usual!]) expect(cells.toSorted()).toEqual(wide!.cells.toSorted())
})

test('--json is one object with all figures', async () => {
  const { code, stdout, stderr } = await mixtral(['experts', 'demo', file('story.txt'), '--tokens', '50', '--experts', '3', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { shape, domains, all, comparisons, cache } = JSON.parse(stdout)
  expect(shape).toEqual({ layers: 6, experts: 8, used: 3 })
  expect(domains[0]).toEqual({ ...all, domain: 'story' })
  expect([comparisons.length, cache.hitRates.length, all.layers.length]).toEqual([0, 48, 6])
})

test('files of one name in several folders are domains of their own', async () => {
  for (const name of ['a', 'b']) mkdirSync(file(name))
  writeFileSync(file('a/val.txt'), 'Once upon a time')
  writeFileSync(file('b/val.txt'), 'What says lord Stanley?')
  writeFileSync(file('.notes'), 'Long ago')
  const { stdout } = await mixtral([
    'experts',
    'demo',
    ...['a/val.txt', 'b/val.txt', '.notes', 'play.txt'].map(file),
    '--tokens',
    '3',
    '--json',
  ])
  const { domains } = JSON.parse(stdout)
  expect(domains.map(({ domain }: { domain: string }) => domain)).toEqual([file('a/val'), file('b/val'), '.notes', 'play'])
})

test.each([false, true])('Ctrl-C tells how far it came; with --json %s', async (json) => {
  writeFileSync(file('long.txt'), readFileSync(file('story.txt'), 'utf8').repeat(100))
  const { code, stdout, stderr } = await mixtral(
    ['experts', 'demo', file('long.txt'), '--threads', '1', '-c', '32', ...(json ? ['--json'] : [])],
    {
      nodeFlags: ['--import', new URL('interruptAtWork.mjs', import.meta.url).href],
    },
  )
  expect(code).toBe(130)
  if (json) expect(JSON.parse(stdout)).toEqual({ interrupted: true, tokens: expect.any(Number), of_tokens: 38001 })
  else expect(stderr).toMatch(/^interrupted after \d+ of 38001 tokens, without figures; --tokens takes fewer of each domain$/m)
})

test.each([
  [['demo'], 2, /FILES is missing, expected mixtral experts MODEL FILES\.\.\. or --domain NAME=FILE; "demo" is the model/],
  [['demo', file('none.txt')], 1, /none\.txt: cannot be read/],
  [['demo', file('story.txt'), '--csv', file('a'), '--html', `${folder}/./a`], 2, /a is the name of two outputs, expected one for each/],
  [['demo', file('story.txt'), '--csv', file('none/a')], 1, /cannot write .*none\/a: there is no folder/],
  [['demo', file('story.txt'), '--npy', folder], 1, /cannot write .*: it is a folder, expected a file/],
  [['none.gguf', file('story.txt'), '--html', file('none/a')], 1, /cannot write .*: there is no folder/], // before the model
  [['demo', file('story.txt'), '--experts', '9'], 2, /is 9, expected a whole number from 1 to 8/],
])('%j is refused', async (args, code, message) => {
  expect(await mixtral(['experts', ...args])).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) })
})

test('each file is a domain of its own, whatever its name, and a name is nothing that a terminal obeys', async () => {
  for (const folder of ['en', 'fr']) mkdirSync(file(folder))
  const obeyed = '\u001b]0;owned\u0007\u001b[2J\n'
  const names = ['en/a.txt', 'fr/a.txt', 'story.txt', 'story.md', `${obeyed}.txt`]
  for (const name of names) writeFileSync(file(name), 'Once upon a time, there was a goat.\n')
  const { code, stdout, stderr } = await mixtral(['experts', 'demo', ...names.map(file)])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  expect(stdout).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/)
  const counted = [...stdout.matchAll(/^(.*): \d+ tokens, loss/gm)].map(([, name]) => name)
  const shown = '\\u001b]0;owned\\u0007\\u001b[2J\\u000a'
  expect(counted).toEqual([file('en/a'), file('fr/a'), file('story.txt'), file('story.md'), shown, 'all domains'])
  expect(stdout).toContain(`${file('story.md')} and ${shown}: Jensen-Shannon divergence`)
})
