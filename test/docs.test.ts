// The documents are run: their samples print what they show, their links lead somewhere, and their lists are those
// of the code.
//
// A block in `js` is a program, and the `text` block after it its output. A `console` block holds commands behind
// `$` and the output of each; `npm ci` counts as done. Blocks in `sh` are for the reader only.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { supportedTypeNames } from '../dist/format/quants/formats.js'
import { createProgram } from '../dist/interfaces/cli/program.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(root + file, 'utf8')

/** Every page for people: those of the folders that have any. */
const pages = ['.', 'docs', 'bench', 'bench/peers', 'examples', 'models', 'test/golden'].flatMap((folder) =>
  readdirSync(root + folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => posix.join(folder, name)),
)
const withSamples = pages.filter((page) => page === 'README.md' || page.startsWith('docs/'))

interface Block {
  readonly language: string
  readonly body: string
}
const blocksOf = (page: string): Block[] =>
  [...read(page).matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, body]) => ({ language: language!, body: body! }))

const programs = withSamples.flatMap((page) =>
  blocksOf(page).flatMap(({ language, body }, i, blocks) => (language === 'js' ? [{ page, code: body, output: blocks[i + 1] }] : [])),
)
const commands = withSamples.flatMap((page) =>
  blocksOf(page)
    .filter(({ language }) => language === 'console')
    .flatMap(({ body }) => body.split(/^\$ /m).slice(1))
    .map((text) => ({ page, command: text.slice(0, text.indexOf('\n')), output: text.slice(text.indexOf('\n') + 1) })),
)

const run = promisify(execFile)
/** A sample loads a model in a process of its own, on machines that do other things too. */
const patient = { timeout: 90_000 }

test('there are samples of both kinds', () => {
  expect(programs.length).toBeGreaterThan(5)
  expect(commands.length).toBeGreaterThan(3)
})

test.each(programs)('library sample %# prints what $page shows', patient, async ({ code, output }) => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], { cwd: root })
  expect(output!.language).toBe('text')
  expect(stdout.trimEnd()).toBe(output!.body.trimEnd())
})

test.each(commands)('$command prints what $page shows', patient, async ({ command, output }) => {
  const mixtral = 'mixtral() { "$NODE" dist/interfaces/cli/main.js "$@"; }'
  const line = command.replace(/^npm ci && npm start$/, 'npm --silent start')
  const { stdout } = await run('sh', ['-c', `${mixtral}\n${line}`], { cwd: root, env: { ...process.env, NODE: process.execPath } })
  expect(stdout).toBe(output)
})

test('the README has at most 900 words', () => {
  expect(read('README.md').split(/\s+/).length).toBeLessThanOrEqual(900)
})

test('no cell of a table is a paragraph', () => {
  const cells = pages.flatMap((page) =>
    read(page)
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .flatMap((line) => line.split('|').map((cell) => `${page}: ${cell.trim()}`)),
  )
  expect(cells.filter((cell) => cell.split(' ').length > 26)).toEqual([])
})

test('no table is torn: each begins with its header', () => {
  const torn = pages.flatMap((page) => {
    const lines = read(page)
      .replaceAll(/^```.*?^```$/gms, '')
      .split('\n')
    const begins = lines.flatMap((line, i) => (line.startsWith('|') && !lines[i - 1]?.startsWith('|') ? [i] : []))
    return begins.filter((i) => !/^\|[ :|-]+$/.test(lines[i + 1] ?? '')).map((i) => `${page}: ${lines[i]}`)
  })
  expect(torn).toEqual([])
})

/** The text of a page under a heading of the second level. */
function chapter(page: string, title: string): string {
  const found = read(page)
    .split(/^## /m)
    .find((text) => text.startsWith(`${title}\n`))
  expect(found, `${page} has no chapter ${title}`).toBeDefined()
  return found!
}

test('every command has its line', () => {
  const shown = [...chapter('docs/cli.md', 'Commands').matchAll(/^\| `mixtral (\w+)/gm)].map(([, name]) => name)
  const existing = createProgram().commands.map((command) => command.name())
  expect([...shown, 'help']).toEqual(existing)
})

test('the citation and the changelog have the version of the package', () => {
  const { version, license } = JSON.parse(read('package.json'))
  expect(read('CITATION.cff')).toContain(`\nversion: ${version}\nlicense: ${license}\n`)
  expect(read('CHANGELOG.md')).toContain(`\n## [${version}]\n`)
})

test('the way of a token names every wing of src, and no other', () => {
  const shown = [...chapter('README.md', 'How a token travels').matchAll(/\*\*`(\w+)\/`\*\*/g)].map(([, name]) => name)
  const wings = readdirSync(`${root}src`, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(shown.toSorted()).toEqual(wings.map(({ name }) => name).toSorted())
})

test('the supported block formats are named', () => {
  const [, shown] = /^Block formats: ([\w,\s]+), which/m.exec(chapter('docs/numbers.md', 'Formats'))!
  expect(shown!.split(/,\s/)).toEqual(supportedTypeNames)
})

test('every code of an error has its line', () => {
  const shown = [...chapter('docs/library.md', 'Errors').matchAll(/^\| `([A-Z]+)`/gm)].map(([, code]) => code)
  const [, union] = /export type MixtralErrorCode =([^\n]*(?:\n {2}\|[^\n]+)*)/.exec(read('src/base/errors.ts'))!
  expect(shown).toEqual([...union!.matchAll(/'([A-Z]+)'/g)].map(([, code]) => code))
})

/** The names in the first cells of a chapter's rows. */
const namesIn = (text: string) =>
  [...text.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, cell]) => [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name))
/** The names of an interface's properties. */
const propertiesOf = (file: string, name: string) => {
  const [, body] = new RegExp(`export interface ${name}\\b[^{]*\\{\\n(.*?)^\\}`, 'ms').exec(read(file))!
  return [...body!.matchAll(/^ {2}readonly (\w+)/gm)].map(([, property]) => property)
}

test('every option of a server and of a catalog, and every field of the log, has its line', () => {
  const server = 'src/interfaces/server/'
  const options = [
    ...propertiesOf('src/interfaces/service/serve.ts', 'ServeOptions'),
    ...propertiesOf(`${server}settings.ts`, 'ServerOptions'),
    ...propertiesOf(`${server}models/catalogOptions.ts`, 'CatalogOptions'),
  ]
  expect(namesIn(chapter('docs/serving.md', 'In a program')).toSorted()).toEqual(options.toSorted())
  const [, log] = /^### The log\n(.*?)^\| `outcome` \| means/ms.exec(chapter('docs/serving.md', 'In operation'))!
  expect(namesIn(log!).toSorted()).toEqual(propertiesOf(`${server}requestLog.ts`, 'RequestLog').toSorted())
})

/** The anchors of a page's headings, as forges make them. */
const anchorsOf = (page: string) =>
  [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )

test.each(pages)('links and paths in %s lead somewhere', (page) => {
  const text = read(page)
  const broken = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].flatMap(([link, to, anchor]) => {
    const target = to ? posix.join(posix.dirname(page), to) : page
    if (!existsSync(root + target)) return [link]
    return anchor === undefined || anchorsOf(target).includes(anchor) ? [] : [link]
  })
  const paths = [...text.matchAll(/`((?:assembly|src|test|bench|models|docs|examples|scripts)\/(?!files)[\w./-]*)`/g)].map(
    ([, path]) => path!,
  )
  expect([...broken, ...paths.filter((path) => !existsSync(root + path))]).toEqual([])
})
