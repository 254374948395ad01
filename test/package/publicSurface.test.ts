// What the package exports is closed: a type that a public signature mentions can be imported too. Read from the .d.ts
// files that users get.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const dist = fileURLToPath(new URL('../../dist/', import.meta.url))

/** A declaration in a .d.ts file: its kind, and its text without comments and string literals. */
interface Declaration {
  readonly kind: 'class' | 'interface' | 'type' | 'function' | 'const'
  readonly text: string
}

/** A name and the file that declares it. */
interface Place {
  readonly file: string
  readonly name: string
  /** Exported as a type only: nobody can call its constructor. */
  readonly typeOnly?: boolean
}

interface Module {
  readonly declarations: ReadonlyMap<string, Declaration>
  /** By the name here. */
  readonly imports: ReadonlyMap<string, Place>
  /** What `export { ... } from` lists, by the name under which it is exported. */
  readonly exports: ReadonlyMap<string, Place>
}

const modules = new Map<string, Module>()

function moduleOf(file: string): Module {
  const known = modules.get(file)
  if (known) return known
  const source = readFileSync(dist + file, 'utf8').replace(/\/\*.*?\*\//gs, '')
  const declarations = new Map<string, Declaration>()
  const imports = new Map<string, Place>()
  const exports = new Map<string, Place>()
  for (const statement of source.split(/^(?=(?:import|export|declare|interface|type|class|function|const)\b)/m)) {
    const [, how, type, list, from] = /^(import|export)( type)? \{(.*?)\} from '(\..*?)'/s.exec(statement) ?? []
    if (from !== undefined) {
      for (const item of list!.split(',').filter((one) => one.trim())) {
        const [, own, name, as = name] = /(type )?(\w+)(?: as (\w+))?/.exec(item)!
        const to = path.posix.join(path.posix.dirname(file), from.replace(/js$/, 'd.ts'))
        const names = how === 'import' ? imports : exports
        names.set(as!, { file: to, name: name!, typeOnly: how === 'export' && (type ?? own) !== undefined })
      }
      continue
    }
    const form = /^(?:export )?(?:default )?(?:declare )?(?:abstract )?(class|interface|type|function|const) (\w+)/
    const [, kind, name] = form.exec(statement) ?? []
    const text = statement.replaceAll(/'[^'\n]*'|"[^"\n]*"/g, "''")
    if (name !== undefined) declarations.set(name, { kind: kind as Declaration['kind'], text })
  }
  const module = { declarations, imports, exports }
  modules.set(file, module)
  return module
}

/**
 * The types that a declaration mentions, and the values whose type it takes; of `keyof typeof` only the names matter.
 */
function mentioned({ file, name }: Place): Place[] {
  const { declarations, imports } = moduleOf(file)
  const declaration = declarations.get(name)
  if (!declaration) throw new Error(`${file} declares no ${name}`)
  const text = typesOnly.has(key({ file, name }))
    ? declaration.text.replace(/^ {4}(?:protected )?constructor\(.*\);$/m, '')
    : declaration.text
  const values = new Set([...text.matchAll(/(?<!keyof )\btypeof (\w+)/g)].map(([, value]) => value!))
  return [...new Set(text.match(/[A-Za-z_]\w*/g))].flatMap((word) => {
    const place = imports.get(word) ?? (declarations.has(word) ? { file, name: word } : undefined)
    if (!place || word === name) return []
    const { kind } = moduleOf(place.file).declarations.get(place.name)!
    return kind === 'function' || kind === 'const' ? (values.has(word) ? [place] : []) : [place]
  })
}

const isValue = ({ file, name }: Place) => ['function', 'const'].includes(moduleOf(file).declarations.get(name)!.kind)
const key = ({ file, name }: Place) => `${name} of ${file}`
const barrels = ['index.d.ts', 'server.d.ts', 'batch.d.ts', 'ai.d.ts', 'langchain.d.ts']
const exported = barrels.flatMap((barrel) => [...moduleOf(barrel).exports.values()])
const typesOnly = new Set(exported.filter(({ typeOnly }) => typeOnly).map(key))

test('every type in a public signature is exported', () => {
  const names = new Set(exported.map(key))
  const seen = new Set<string>()
  const missing: string[] = []
  const visit = (place: Place) => {
    if (seen.has(key(place))) return
    seen.add(key(place))
    for (const next of mentioned(place)) {
      if (!isValue(next) && !names.has(key(next))) missing.push(`${key(next)}, in ${key(place)}`)
      visit(next)
    }
  }
  for (const place of exported) visit(place)
  expect(seen.size).toBeGreaterThan(60)
  expect(missing).toEqual([])
})

test('no public signature has an inline import', () => {
  const inline = exported.filter(({ file, name }) => /\bimport\(/.test(moduleOf(file).declarations.get(name)!.text))
  expect(inline.map(key)).toEqual([])
})

test('the barrels are lists of exports', () => {
  for (const barrel of barrels) {
    const { declarations, imports } = moduleOf(barrel)
    expect([declarations.size, imports.size]).toEqual([0, 0])
  }
  expect(exported.length).toBeGreaterThan(50)
})

/** A function or method of the package, with the comment above it. */
interface Callable {
  readonly signature: string
  readonly description: string
}

function callables({ file, name }: Place): Callable[] {
  const lines = readFileSync(dist + file, 'utf8').split('\n')
  const first = lines.findIndex((line) => new RegExp(`^export declare (?:class|function|const) ${name}\\b`).test(line))
  if (first < 0) return []
  const end = lines.findIndex((line, i) => i > first && line.startsWith('}'))
  const rows = /^export declare function/.test(lines[first]!)
    ? [first]
    : [...lines.keys()].slice(first + 1, end).filter((i) => /^ {4}(?:static )?(?!constructor)\w+(?:<.*?>)?\(/.test(lines[i]!))
  return rows.map((row) => {
    const comment = lines.slice(0, row).findLastIndex((line) => !/^\s*(?:\/\*\*|\*)/.test(line)) + 1
    return { signature: `${name}: ${lines[row]!.trim()}`, description: lines.slice(comment, row).join('\n') }
  })
}

test('every public function and method has a description', () => {
  const all = exported.flatMap(callables)
  expect(all.length).toBeGreaterThan(35)
  expect(all.filter(({ description }) => description === '').map(({ signature }) => signature)).toEqual([])
})

test('every public function and method that takes time names its errors', () => {
  const slow = exported.flatMap(callables).filter(({ signature }) => /\): (?:Promise|AsyncGenerator)</.test(signature))
  expect(slow.length).toBeGreaterThan(20)
  const silent = slow.filter(({ signature, description }) => !/\bclose\(/.test(signature) && !/\bthrows\b/i.test(description))
  expect(silent.map(({ signature }) => signature)).toEqual([])
})
