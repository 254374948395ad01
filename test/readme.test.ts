// The README is run: its samples print what it shows, and its lists are those of the code.
//
// A block in `js` is a program, and the `text` block after it its output. A `console` block holds commands behind `$` and the output of each;
// `npm ci` counts as done. Blocks in `sh` are for the reader only.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { supportedTypeNames } from '../dist/format/quants/formats.js'
import { createProgram } from '../dist/interfaces/cli/program.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(`${root}README.md`, 'utf8')
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, body]) => ({ language: language!, body: body! }))
const chapter = (title: string) => readme.split(/^## /m).find((text) => text.startsWith(`${title}\n`))!

const programs = blocks.flatMap(({ language, body }, i) => (language === 'js' ? [{ code: body, output: blocks[i + 1] }] : []))
const commands = blocks
  .filter(({ language }) => language === 'console')
  .flatMap(({ body }) => body.split(/^\$ /m).slice(1))
  .map((text) => ({ command: text.slice(0, text.indexOf('\n')), output: text.slice(text.indexOf('\n') + 1) }))

const run = promisify(execFile)

test('there are samples of both kinds', () => {
  expect(programs.length).toBeGreaterThan(1)
  expect(commands.length).toBeGreaterThan(1)
})

test.each(programs)('library sample %# prints what the README shows', async ({ code, output }) => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], { cwd: root })
  expect(output!.language).toBe('text')
  expect(stdout.trimEnd()).toBe(output!.body.trimEnd())
})

test.each(commands)('$command prints what the README shows', async ({ command, output }) => {
  const mixtral = 'mixtral() { "$NODE" dist/interfaces/cli/main.js "$@"; }'
  const line = command.replace(/^npm ci && npm start$/, 'npm --silent start')
  const { stdout } = await run('sh', ['-c', `${mixtral}\n${line}`], { cwd: root, env: { ...process.env, NODE: process.execPath } })
  expect(stdout).toBe(output)
})

test('every command has its line', () => {
  const shown = [...chapter('Command line').matchAll(/^\| `mixtral (\w+)/gm)].map(([, name]) => name)
  const commands = createProgram().commands.map((command) => command.name())
  expect([...shown, 'help']).toEqual(commands)
})

test('the map shows every folder and file on its way, and no other', () => {
  const shown = [...chapter('The map').matchAll(/^ {2}(\w+(?:\/|\.ts))/gm)].map(([, name]) => name)
  const entries = readdirSync(`${root}src`, { withFileTypes: true }).map((entry) => entry.name + (entry.isDirectory() ? '/' : ''))
  expect(shown.toSorted()).toEqual(entries.filter((name) => name !== 'index.ts').toSorted())
})

test('the supported block formats are named', () => {
  const [, shown] = /^Block formats: ([\w, ]+), which/m.exec(chapter('Numbers'))!
  expect(shown!.split(', ')).toEqual(supportedTypeNames)
})

test.each(['README.md', 'CONTRIBUTING.md', 'models/README.md'])('links and paths in %s lead somewhere', (file) => {
  const text = readFileSync(root + file, 'utf8')
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)\)/g)].map(([, link]) => file.replace(/[^/]*$/, '') + link)
  const paths = [...text.matchAll(/`((?:assembly|src|test|bench|models)\/[\w./-]+)`/g)].map(([, path]) => path!)
  expect([...links, ...paths].filter((path) => !existsSync(root + path))).toEqual([])
})
