// docs/api.md is the list of what the package exports: each function has its row, with its arguments and the codes that
// its comment names.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { publicFunctions } from './publicFunctions.js'

const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')

/** The rows of the tables, under the names that the exports have. */
const rows = page.split(/^## /m).flatMap((chapter) => {
  const [, title] = /^(\w+)$/m.exec(chapter.slice(0, chapter.indexOf('\n'))) ?? []
  return [...chapter.matchAll(/^\| `([\w.]+)\((.*?)\)` \|.*\| (.*) \|$/gm)].map(([, name, parameters, codes]) => {
    const isOwn = !name!.includes('.') && title !== undefined
    return { name: isOwn ? `${title}.prototype.${name}` : name!, parameters: parameters!, codes: codes! }
  })
})

/** A model has what its parent has. */
const known = publicFunctions().map((name) => name.replace(/^TokenModel\b/, 'MixtralModel'))

test('every public function has one row, and no other has one', () => {
  expect(rows.map(({ name }) => name).toSorted()).toEqual(known.toSorted())
})

test('every parameter is there', async () => {
  const library: Record<string, unknown> = await import('../../dist/index.js')
  const wrong = rows.filter(({ name, parameters }) => {
    const found = name.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown>)?.[part], library)
    const [, shown] = /\(([^)]*)/.exec(String(found).replaceAll(/\{[^}]*\}/g, 'options'))!
    const own = shown!.split(',').flatMap((each) => (each.trim() === '' ? [] : [each.split('=')[0]!.trim()]))
    return own.length !== (parameters === '' ? 0 : parameters.split(', ').length)
  })
  expect(wrong).toEqual([])
})

test('codes are codes', () => {
  const source = readFileSync(new URL('../../src/base/errors.ts', import.meta.url), 'utf8')
  const codes = new Set([...source.matchAll(/^ {2}\| '([A-Z]+)'/gm)].map(([, code]) => code))
  const shown = rows.flatMap(({ codes }) => [...codes.matchAll(/`([A-Z]+)`/g)].map(([, code]) => code!))
  expect(shown.length).toBeGreaterThan(60)
  expect(shown.filter((code) => !codes.has(code))).toEqual([])
})

test('every exported type is in the table of types, once', () => {
  const declared = readFileSync(new URL('../../dist/index.d.ts', import.meta.url), 'utf8')
  const types = [...declared.matchAll(/^export (type )?\{(.*?)\} from/gms)].flatMap(([, all, list]) =>
    list!.split(',').flatMap((item) => {
      const [, own, name, as] = /(type )?(\w+)(?: as (\w+))?/.exec(item) ?? []
      return name !== undefined && (all ?? own) !== undefined ? [as ?? name] : []
    }),
  )
  const [, chapter] = page.split(/^## The types$/m)
  const shown = [...chapter!.matchAll(/^\| .* \| (`.*) \|$/gm)].flatMap(([, cell]) => cell!.split(', ').map((type) => type.slice(1, -1)))
  expect(types.length).toBeGreaterThan(100)
  expect(shown.toSorted()).toEqual(types.toSorted())
})
