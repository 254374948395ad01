// The rules that keep the sources readable in one direction: which folder may import which, no cycles, no barrels, a comment on top.
// A new folder in src/ gets its place in the ladder here, and in the README's map.

import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/** A file imports from its own step and from steps to its left. */
const ladder = [
  ['errors', 'elementary'],
  ['gguf'],
  ['registry'],
  ['quants'],
  ['tokenizer'],
  ['kernels'],
  ['weights'],
  ['team'],
  ['model'],
  ['sampler'],
  ['generate'],
  ['perplexity'],
  ['reference'],
  ['verify'],
  ['convert'],
  ['quantize'],
  ['server'],
  ['cli'],
  ['index'],
]
const barrels = ['assembly/index.ts', 'src/index.ts']

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(root + file, 'utf8')
const list = (folder: string) =>
  readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
    .filter((name) => /\.(ts|mjs)$/.test(name) && !/\/(node_modules|files)\//.test(name))
const sources = [...list('src'), ...list('assembly')].sort()

/** The files that a source imports, by any form of import, of types too; and the worker that it names by URL. */
function importsOf(file: string): string[] {
  const forms = /^(?:import|export)\b[^'"`]*?\bfrom '(\.[^']+)'|^import '(\.[^']+)'|\bimport\('(\.[^']+)'\)|\bnew URL\('(\.[^']+\.js)'/gm
  return [...read(file).matchAll(forms)].map(([, ...found]) => {
    const path = posix.join(posix.dirname(file), found.find((specifier) => specifier !== undefined)!)
    return path.endsWith('.js') ? path.replace(/js$/, 'ts') : `${path}.ts`
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

test('imports point down the ladder', () => {
  const stepOf = (file: string) => {
    const name = file.split('/')[1]!.replace(/\.ts$/, '')
    const step = ladder.findIndex((names) => names.includes(name))
    expect(step, `${file}: src/${name} has no place in the ladder`).toBeGreaterThanOrEqual(0)
    return { name, step }
  }
  const broken: string[] = []
  for (const file of sources.filter((name) => name.startsWith('src/'))) {
    const from = stepOf(file)
    for (const path of imports.get(file)!) {
      const to = stepOf(path)
      if (to.step > from.step) broken.push(`${file} imports ${path}: ${to.name} stands above ${from.name}`)
      if (to.step === from.step && to.name !== from.name) broken.push(`${file} imports ${path}: they share a step`)
    }
  }
  expect(broken).toEqual([])
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

test('only the two index files export what others define', () => {
  const reexporting = sources.filter((file) => /^export\b[^'"`;=(]*\bfrom '/m.test(read(file)) || /(^|\/)index\.ts$/.test(file))
  expect(reexporting).toEqual(barrels)
})

test('nothing in src imports the barrel', () => {
  expect(sources.filter((file) => imports.get(file)!.includes('src/index.ts'))).toEqual([])
})

test('every file opens with a comment, but tests, whose names say it', () => {
  const others = [...list('test'), ...list('bench'), ...list('scripts')].filter((file) => !file.endsWith('.test.ts'))
  const files = [...sources, ...others, 'vitest.config.ts']
  const bare = files.filter((file) => !/^(#!.*\n)?(\/\/ \S|\/\*\* \S)/.test(read(file)))
  expect(bare).toEqual([])
})

test('no file or folder is named after having no purpose', () => {
  const vague = /(^|\/)(utils?|helpers?|common|managers?|types)(\.[^/]*)?(\/|$)/i
  expect(sources.filter((file) => vague.test(file))).toEqual([])
})
