// The rules that keep the sources readable in one direction: which wing may import which, and inside a wing which
// room; no cycles, no barrels, a comment on top. A new folder in src/ gets its place in a ladder here; a new wing
// also in README, "How a token travels".

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/**
 * The wings, a floor a row, from the ground up. A wing imports from the floors below it, not from its neighbors.
 * assembly/ and page/ import themselves alone.
 */
const wings = [
  ['base'],
  ['format'],
  ['runtime', 'registry'],
  ['text'],
  ['evaluation', 'authoring'],
  ['interfaces'],
  ['index', 'server', 'batch', 'ai', 'langchain'],
]

/** The rooms of each wing, from the ground up in the same way. '.' is what lies in the wing itself. */
const rooms: Record<string, string[][]> = {
  base: [['.'], ['files']],
  format: [['gguf'], ['tensors', 'quants']],
  runtime: [['kernels', 'team', 'sampler'], ['machine', 'weights'], ['residency', 'adapters'], ['model'], ['trace'], ['engine']],
  registry: [['names'], ['transfer'], ['stores'], ['sources'], ['.']],
  text: [['tokenizer'], ['constraint'], ['tools'], ['templates'], ['jinja'], ['chat'], ['generate']],
  evaluation: [['reference', 'perplexity', 'experts', 'tasks'], ['verify']],
  authoring: [['convert', 'imatrix'], ['quantize']],
  interfaces: [['inspect'], ['server'], ['batch', 'frameworks'], ['service'], ['cli']],
  index: [['.']],
  server: [['.']],
  batch: [['.']],
  ai: [['.']],
  langchain: [['.']],
  page: [['chats', 'server', 'report'], ['state'], ['view'], ['.']],
  assembly: [['lanes'], ['ops', 'encode'], ['formats'], ['.']],
}
const barrels = ['assembly/index.ts', 'src/ai.ts', 'src/batch.ts', 'src/index.ts', 'src/langchain.ts', 'src/server.ts']

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(root + file, 'utf8')
const list = (folder: string) =>
  readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
    .filter((name) => /\.(tsx?|mjs)$/.test(name) && !/\/node_modules\/|^bench\/files\//.test(name))
const sources = [...list('src'), ...list('page'), ...list('assembly')].sort()
const others = [...list('test'), ...list('bench'), ...list('scripts'), ...list('examples')].sort()

/** The files that a source imports, by any form of import, of types too; and the worker that it names by URL. */
function importsOf(file: string): string[] {
  const forms = /^(?:import|export)\b[^'"`]*?\bfrom '(\.[^']+)'|^import '(\.[^']+)'|\bimport\('(\.[^']+)'\)|\bnew URL\('(\.[^']+\.js)'/gm
  const specifiers = [...read(file).matchAll(forms)].map(([, ...found]) => found.find((specifier) => specifier !== undefined)!)
  return specifiers.flatMap((specifier) => {
    if (specifier.endsWith('.css')) return []
    const path = posix.join(posix.dirname(file), specifier)
    const source = path.endsWith('.js') ? path.replace(/js$/, 'ts') : `${path}.ts`
    return [existsSync(root + source) ? source : source.replace(/ts$/, 'tsx')]
  })
}

const imports = new Map(sources.map((file) => [file, importsOf(file)]))

test('every import leads to a file of ours', () => {
  const broken = sources.flatMap((file) =>
    imports
      .get(file)!
      .filter((to) => !imports.has(to))
      .map((to) => `${file} imports ${to}, which does not exist`),
  )
  expect(broken).toEqual([])
})

/** Where a file lives: its wing, and its room in it. */
function placeOf(file: string): { wing: string; room: string } {
  const [wing, ...rest] = file
    .replace(/^src\//, '')
    .replace(/\.tsx?$/, '')
    .split('/') as [string, ...string[]]
  return { wing, room: rest.length > 1 ? rest[0]! : '.' }
}

/** What is wrong with an import from one place to another on a ladder; nothing if it points down. */
function climb(ladder: readonly string[][], from: string, to: string): string | undefined {
  if (from === to) return undefined
  const [lower, upper] = [to, from].map((name) => ladder.findIndex((names) => names.includes(name)))
  if (lower! < 0 || upper! < 0) return `${lower! < 0 ? to : from} has no place in the ladder`
  return lower! < upper! ? undefined : `${to} does not stand below ${from}`
}

test('imports point down the ladder of wings, and down the rooms inside a wing', () => {
  const broken: string[] = []
  for (const file of sources) {
    const from = placeOf(file)
    for (const path of imports.get(file)!) {
      const to = placeOf(path)
      const wrong = from.wing === to.wing ? climb(rooms[from.wing] ?? [], from.room, to.room) : climb(wings, from.wing, to.wing)
      if (wrong) broken.push(`${file} imports ${path}: ${wrong}`)
    }
  }
  expect(broken).toEqual([])
})

test('the ladder has no place for what is not there', () => {
  const places = new Set(sources.map((file) => Object.values(placeOf(file)).join('/')))
  const planned = Object.entries(rooms).flatMap(([wing, floors]) => floors.flat().map((room) => `${wing}/${room}`))
  expect(planned.toSorted()).toEqual([...places].toSorted())
})

test('no import leads back to where it came from', () => {
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
    if (done.has(file) || path.includes(file)) return
    for (const next of imports.get(file) ?? []) visit(next, [...path, file])
    done.add(file)
  }
  for (const file of sources) visit(file, [])
  expect(cycles).toEqual([])
})

test('only the barrels export what others define', () => {
  const reexporting = sources.filter((file) => /^export\b[^'"`;=(]*\bfrom '/m.test(read(file)) || /(^|\/)index\.ts$/.test(file))
  expect(reexporting).toEqual(barrels)
})

test('nothing in src imports a barrel', () => {
  expect(sources.filter((file) => imports.get(file)!.some((to) => barrels.includes(to)))).toEqual([])
})

test('every file opens with a comment, but tests, whose names say it', () => {
  const others = [...list('test'), ...list('bench'), ...list('scripts'), ...list('examples')].filter((file) => !file.endsWith('.test.ts'))
  const files = [...sources, ...others, 'vitest.config.ts']
  const bare = files.filter((file) => !/^(#!.*\n)?(\/\/ \S|\/\*\* \S)/.test(read(file)))
  expect(bare).toEqual([])
})

test('no file or folder is named after having no purpose', () => {
  const vague = /(^|\/)(utils?|helpers?|common|managers?|types)(\.[^/]*)?(\/|$)/i
  expect(sources.filter((file) => vague.test(file))).toEqual([])
})

test('no file is longer than 300 lines', () => {
  const long = [...sources, ...others].filter((file) => read(file).trimEnd().split('\n').length > 300)
  // a suite is as long as its table
  expect(long.filter((file) => !file.endsWith('.test.ts'))).toEqual([])
})

test('no comment is wider than 120 columns', () => {
  const wide = [...sources, ...others].flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, i) => (line.length > 120 && /^\s*(\/\/|\/\*|\*[ /])/.test(line) ? [`${file}:${i + 1}`] : [])),
  )
  expect(wide).toEqual([])
})

test('one spelling, the American one, and none of the words that nobody but us understood', () => {
  const british =
    /(?:[a-z]uantis|olour|eighbour|onour|ehaviour|avour\b|icence|ecognis|rganis|nitialis|erialis|ptimis|inimis|ummaris|ormalis)/i
  const private_ = /\b(errand|pile|leisure|handIn|fillBanks|whoever)\b/i
  const found = [...sources, ...others].flatMap((file) =>
    file === 'test/ladder.test.ts' ? [] : (read(file).match(british) ?? []).map((word) => `${file}: ${word}`),
  )
  const ours = sources.flatMap((file) => (read(file).match(private_) ?? []).map((word) => `${file}: ${word}`))
  expect([...found, ...ours]).toEqual([])
})

test('an element that is there is read as x[i]!, not by a cast', () => {
  expect(sources.filter((file) => /\] as number\b/.test(read(file)))).toEqual([])
})
