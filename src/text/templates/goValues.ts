// The values of a Go template: plain data, whose texts may come from a caller. Owns truth, size and printing.

import { comparePoints, Text } from './markedText.js'
import type { WorkBudget } from './workBudget.js'

export type GoValue =
  | string
  | Text
  | number
  | boolean
  | null
  | undefined
  | readonly GoValue[]
  | GoFloat
  | GoStructure
  | { readonly [key: string]: GoValue }

/** A number with a point, or of JSON: all of these are floats in Go. */
export class GoFloat {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

/** Fields, and the members as which they print in JSON, in order. */
export class GoStructure {
  readonly fields: GoMap
  readonly json: GoMembers

  constructor(fields: GoMap, json: GoMembers) {
    this.fields = fields
    this.json = json
  }
}

export type GoMap = { readonly [key: string]: GoValue }
export type GoMembers = readonly (readonly [key: string | Text, value: GoValue])[]

/** The origins of the keys of maps, which templates may print. */
export const KEYS = Symbol('keys')

const DEEPEST = 64

/** The text of a value that is one. */
export function plainText(value: GoValue): string | undefined {
  return value instanceof Text ? value.value : typeof value === 'string' ? value : undefined
}

export function textOf(value: GoValue): Text {
  if (value instanceof Text) return value
  if (typeof value !== 'string') throw new Error('a text is expected')
  return new Text(value)
}

export function isMap(value: GoValue): value is GoMap {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return !(value instanceof Text || value instanceof GoFloat || value instanceof GoStructure)
}

export function fieldOf(value: GoValue, name: string): GoValue {
  const map = value instanceof GoStructure ? value.fields : value
  return isMap(map) && Object.hasOwn(map, name) ? map[name] : undefined
}

/** The entries of a list, a number or a map; those of a map in the order of their keys. An absent value has none. */
export function entriesOf(value: GoValue): readonly (readonly [string | number, GoValue])[] {
  if (Array.isArray(value)) return value.map((item: GoValue, index) => [index, item] as const)
  if (typeof value === 'number') return Array.from({ length: Math.max(0, Math.min(value, 65_536)) }, (_, index) => [index, index] as const)
  if (isMap(value)) return inOrder(value)
  if (value === undefined || value === null) return []
  throw new Error(`a range over a ${kindOf(value)}`)
}

function inOrder(map: GoMap): [string, GoValue][] {
  return Object.entries(map).sort(([a], [b]) => comparePoints(a, b))
}

/** What a value is for comparisons. */
export function kindOf(value: GoValue): 'nil' | 'bool' | 'int' | 'float64' | 'string' | 'slice' | 'map' | 'struct' {
  if (value === undefined || value === null) return 'nil'
  if (plainText(value) !== undefined) return 'string'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return 'int'
  if (value instanceof GoFloat) return 'float64'
  return Array.isArray(value) ? 'slice' : isMap(value) ? 'map' : 'struct'
}

/** The key of an entry, as the caller wrote it. */
export function keyOf(of: GoValue, key: string | number): GoValue {
  if (typeof key === 'number') return key
  const origin = isMap(of) ? (of as { [KEYS]?: number })[KEYS] : undefined
  return origin ? Text.of(key, origin) : key
}

/** The number of entries, without making a list of them. */
export function sizeOf(value: GoValue): number {
  if (Array.isArray(value)) return value.length
  const map = value instanceof GoStructure ? value.fields : value
  return isMap(map) ? Object.keys(map).length : 0
}

export function truth(value: GoValue): boolean {
  const text = plainText(value)
  if (text !== undefined) return text !== ''
  if (value instanceof GoStructure) return true
  if (value instanceof GoFloat) return value.value !== 0
  return typeof value === 'object' && value !== null ? sizeOf(value) > 0 : Boolean(value)
}

/** The text of a value as a template prints it; an absent value prints nothing. */
export function printed(value: GoValue, budget: WorkBudget): Text {
  if (value === undefined || value === null) return Text.empty
  if (value instanceof Text) return value
  if (value instanceof GoFloat) return new Text(floatText(value.value))
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object' || item instanceof Text || item instanceof GoFloat)) {
    const texts = value.map((item: GoValue) => (item === undefined ? new Text('<nil>') : printed(item, budget)))
    budget.make(texts.reduce((sum, text) => sum + text.length + 1, 2))
    return Text.concat([new Text('['), Text.join(texts, new Text(' ')), new Text(']')])
  }
  return typeof value === 'object' ? goJson(value, budget) : new Text(String(value))
}

/** A float as Go's %v prints it, with an exponent from a million on. */
function floatText(value: number): string {
  const power = Number(value.toExponential().split('e')[1])
  return power >= -4 && power < 6 ? String(value) : value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
}

/** A value as Go's encoding/json writes it, which escapes the signs of HTML; or as a quoted text. */
export function goJson(value: GoValue, budget: WorkBudget, forHtml = true): Text {
  const parts: Text[] = []
  let length = 0
  const put = (text: Text) => {
    length += text.length
    budget.checkLength(length)
    budget.spend(text.length)
    parts.push(text)
  }
  const quoted = (text: Text) => {
    budget.spend(6 * text.length)
    put(new Text('"'))
    put(text.map((part) => escaped(part, forHtml)))
    put(new Text('"'))
  }
  const walk = (each: GoValue, depth: number): void => {
    budget.countStep()
    if (depth > DEEPEST) throw new Error(`lists nested deeper than ${DEEPEST}`)
    if (each instanceof GoStructure) {
      members(each.json, depth)
      return
    }
    if (each instanceof GoFloat) {
      put(new Text(String(each.value)))
      return
    }
    if (plainText(each) !== undefined) {
      quoted(textOf(each))
      return
    }
    if (Array.isArray(each)) {
      put(new Text('['))
      each.forEach((item: GoValue, index) => {
        if (index > 0) put(new Text(','))
        walk(item, depth + 1)
      })
      put(new Text(']'))
      return
    }
    if (!isMap(each)) {
      put(new Text(String(each ?? null)))
      return
    }
    members(
      inOrder(each).map(([key, item]) => [textOf(keyOf(each, key)), item] as const),
      depth,
    )
  }
  const members = (all: GoMembers, depth: number) => {
    put(new Text('{'))
    all
      .filter(([, item]) => item !== undefined)
      .forEach(([key, item], index) => {
        if (index > 0) put(new Text(','))
        quoted(textOf(key))
        put(new Text(':'))
        walk(item, depth + 1)
      })
    put(new Text('}'))
  }
  walk(value, 0)
  return Text.concat(parts)
}

function escaped(part: string, forHtml: boolean): string {
  const text = JSON.stringify(part).slice(1, -1)
  if (!forHtml) return text
  return text.replace(/[<>&\u2028\u2029]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
