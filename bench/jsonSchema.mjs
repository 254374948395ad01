// node bench/jsonSchema.mjs FILE [--list] [--refused]
// How much of JSON Schema the constraints take, and whether they take it right. FILE is a list of { file, description,
// schema, tests: [{ description, data, valid }] }, as the JSON-Schema-Test-Suite has them. Of every schema that is
// accepted, each valid instance must be accepted in its canonical spelling (compact, and indented by two; keys in their
// declared order; plain numbers), and each invalid one refused in any order of its keys. Exits with 1 if one is not.

import { readFileSync } from 'node:fs'
import { accepts, compileLanguage } from '../dist/text/constraint/language.js'
import { readCommandLine } from './commandLine.mjs'

const { values, positionals } = readCommandLine(import.meta.url, { list: { type: 'boolean' }, refused: { type: 'boolean' } }, [1, 1])
const groups = JSON.parse(readFileSync(positionals[0], 'utf8'))
/** Orders of keys to try for an invalid instance. */
const MOST_ORDERS = 200

const files = new Map()
let [tested, faults, unplain, asserted] = [0, 0, 0, 0]
for (const group of groups) {
  const row = files.get(group.file) ?? { groups: 0, accepted: 0 }
  files.set(group.file, row)
  row.groups++
  let language
  try {
    language = compileLanguage({ jsonSchema: group.schema })
  } catch (error) {
    if (error.name !== 'MixtralError') throw error
    if (values.refused) console.log(`refused ${group.file} "${group.description}": ${error.code} ${error.message}`)
    continue
  }
  row.accepted++
  for (const test of group.tests) {
    if (!isPlain(test.data)) {
      unplain++
      continue
    }
    // format is asserted here, and an annotation in the suite
    if (/annotation by default/.test(test.description)) {
      asserted++
      continue
    }
    tested++
    const wrong = test.valid ? refusedSpelling(language, group.schema, test.data) : acceptedSpelling(language, test.data)
    if (wrong === undefined) continue
    faults++
    console.log(
      `WRONG ${group.file} "${group.description}" / "${test.description}": ${test.valid ? 'valid, refused' : 'invalid, accepted'}: ${wrong}`,
    )
    if (values.list) console.log(`      ${JSON.stringify(group.schema)}`)
  }
}

if (values.list) for (const [file, { groups, accepted }] of files) console.log(`${file.padEnd(30)} ${accepted} of ${groups}`)
const accepted = [...files.values()].reduce((sum, row) => sum + row.accepted, 0)
console.log(
  `${accepted} of ${groups.length} groups accepted (${((100 * accepted) / groups.length).toFixed(1)} %); ${tested} instances tested, ${faults} wrong; ` +
    `${unplain} left out for numbers that are not plain, ${asserted} for formats that are asserted here`,
)
process.exit(faults === 0 ? 0 : 1)

function refusedSpelling(language, schema, data) {
  const ordered = inOrder(data, declaredOrder(schema))
  return [JSON.stringify(ordered), JSON.stringify(ordered, null, 2)].find((text) => !accepts(language, text))
}

function acceptedSpelling(language, data) {
  for (const order of orders(data)) {
    const text = JSON.stringify(order)
    if (accepts(language, text)) return text
  }
  return undefined
}

/**
 * Names of properties in the order in which a schema declares them: its own before those of schemas within it at the
 * same place.
 */
function declaredOrder(schema, names = new Set(), seen = new Set()) {
  if (typeof schema !== 'object' || schema === null || seen.has(schema)) return names
  seen.add(schema)
  for (const name of Object.keys(schema.properties ?? {})) names.add(name)
  for (const name of Array.isArray(schema.required) ? schema.required : []) names.add(name)
  for (const [name, others] of Object.entries(schema.dependentRequired ?? {})) for (const each of [name, ...others]) names.add(each)
  for (const value of [schema.const, ...(Array.isArray(schema.enum) ? schema.enum : [])]) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) for (const name of Object.keys(value)) names.add(name)
  }
  for (const part of Object.values(schema)) declaredOrder(part, names, seen)
  return names
}

function inOrder(value, names) {
  if (Array.isArray(value)) return value.map((item) => inOrder(item, names))
  if (typeof value !== 'object' || value === null) return value
  const order = [...names]
  const place = (key) => (names.has(key) ? order.indexOf(key) : order.length)
  const keys = Object.keys(value).sort((a, b) => place(a) - place(b))
  return Object.fromEntries(keys.map((key) => [key, inOrder(value[key], names)]))
}

/** The value with its keys in every order, up to a number of orders. */
function orders(value) {
  if (Array.isArray(value)) return product(value.map(orders))
  if (typeof value !== 'object' || value === null) return [value]
  const keys = Object.keys(value)
  const parts = product(keys.map((key) => orders(value[key])))
  return permutations(keys.map((_, i) => i))
    .flatMap((order) => parts.map((part) => Object.fromEntries(order.map((i) => [keys[i], part[i]]))))
    .slice(0, MOST_ORDERS)
}

function product(lists) {
  return lists.reduce((rows, list) => rows.flatMap((row) => list.map((item) => [...row, item])).slice(0, MOST_ORDERS), [[]])
}

function permutations(items) {
  if (items.length > 5) return [items]
  return items.length === 0 ? [[]] : items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]))
}

/** Whether all numbers are written without an exponent, in at most 16 digits. */
function isPlain(value) {
  if (typeof value === 'number') return /^-?\d{1,16}(\.\d{1,16})?$/.test(JSON.stringify(value))
  return typeof value !== 'object' || value === null || Object.values(value).every(isPlain)
}
