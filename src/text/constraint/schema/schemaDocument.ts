// A JSON Schema as its author wrote it: which parts are schemas, where they are, and what a reference means. Owns $id,
// $anchor and $ref; nothing is fetched. Does not know what a keyword asks.

import { MixtralError } from '../../../base/errors.js'
import { type Budget, LOOK } from '../budget.js'
import { remembered } from '../memo.js'

export interface SchemaNode {
  readonly id: number
  readonly value: boolean | Readonly<Record<string, unknown>>
  /** JSON Pointer from the document's root. */
  readonly pointer: string
  /** URI that references in it are relative to. */
  readonly base: string
  /** Whether it is `true`, or `{}`, which says the same. */
  readonly isTrue: boolean
}

/** Keywords whose value is a schema, a list of schemas, or schemas by name. */
const ONE = [
  'additionalProperties',
  'contains',
  'else',
  'if',
  'items',
  'not',
  'propertyNames',
  'then',
  'unevaluatedItems',
  'unevaluatedProperties',
]
const LIST = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const NAMED = ['$defs', 'definitions', 'dependentSchemas', 'patternProperties', 'properties']

/** The largest schemas in circulation have some 10,000 parts; the bounds keep the walk short and the stack small. */
const MOST_NODES = 50_000
const DEEPEST = 200
/**
 * Characters of a pointer, and of a base: each node has its own, which begins with that of the node above. They are
 * found by hashes, which V8 makes of 16,383 characters at most.
 */
const LONGEST_PLACE = 10_000
/** Begins the end of a pointer to what stands in no document. */
const MADE = '\0'
/** Base of a document without $id. It has a path, so that relative references can be resolved at all. */
const NO_BASE = 'schema:/'

export class SchemaDocument {
  readonly root: SchemaNode
  /** Whether some part asks what others have evaluated. */
  readonly usesUnevaluated: boolean
  readonly #budget: Budget
  readonly #nodes = new Map<string, SchemaNode>()
  readonly #resources = new Map<string, SchemaNode>()
  readonly #anchors = new Map<string, SchemaNode>()
  readonly #made = new WeakMap<object, SchemaNode>()
  #unevaluated = false

  /** Throws a MixtralError `OPTION` for what cannot be a schema. */
  constructor(schema: unknown, budget: Budget) {
    this.#budget = budget
    this.root = this.#index(schema, '', NO_BASE, 0)
    if (!this.#resources.has(this.root.base)) this.#resources.set(this.root.base, this.root)
    this.usesUnevaluated = this.#unevaluated
  }

  /** A part of a node, such as `child(node, 'properties', 'name')`. */
  child(node: SchemaNode, ...path: readonly (string | number)[]): SchemaNode {
    return this.#nodes.get(node.pointer + path.map((step) => `/${escaped(String(step))}`).join(''))!
  }

  /** A schema that stands for a value in a node, such as an object of `const`; made once for each value. */
  made(value: object, node: SchemaNode, keyword: string, make: () => SchemaNode['value']): SchemaNode {
    return remembered(this.#made, value, () => this.#index(make(), `${node.pointer}/${keyword}${MADE}${this.#nodes.size}`, node.base, 0))
  }

  /** What `$ref` in a node means. */
  resolve(node: SchemaNode, reference: unknown): SchemaNode {
    const place = `$ref at ${shownPointer(node)}/$ref`
    if (typeof reference !== 'string') throw new MixtralError('OPTION', `${place} is not a string`)
    const hash = reference.indexOf('#')
    const uri = hash < 0 ? reference : reference.slice(0, hash)
    this.#budget.spend(1 + LOOK * (uri.length + node.base.length))
    const resource = this.#resources.get(uri === '' ? node.base : absolute(uri, node.base))
    if (resource === undefined)
      throw new MixtralError('UNSUPPORTED', `${place} is ${JSON.stringify(reference)}: schemas elsewhere are not fetched`)
    const fragment = hash < 0 ? '' : decoded(reference.slice(hash + 1))
    const target =
      fragment === ''
        ? resource
        : fragment.startsWith('/')
          ? this.#at(resource, fragment)
          : this.#anchors.get(`${resource.base}#${fragment}`)
    if (target === undefined) throw new MixtralError('OPTION', `${place} is ${JSON.stringify(reference)}, which leads to no schema`)
    return target
  }

  /** The node at a pointer below a resource, indexed or not. */
  #at(resource: SchemaNode, pointer: string): SchemaNode | undefined {
    const known = this.#nodes.get(resource.pointer + pointer)
    if (known) return known
    let value: unknown = resource.value
    let node = resource
    let at = resource.pointer
    for (const step of pointer.slice(1).split('/')) {
      const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
      value = (value as Record<string, unknown>)[name]
      at += `/${escaped(name)}`
      node = this.#nodes.get(at) ?? node
    }
    return isSchema(value) ? this.#index(value, at, node.base, 0) : undefined
  }

  #index(value: unknown, pointer: string, base: string, depth: number): SchemaNode {
    this.#budget.spend(5 + LOOK * (pointer.length + base.length))
    checkPlace(pointer)
    if (!isSchema(value))
      throw new MixtralError('OPTION', `the schema at #${pointer} is ${typeOf(value)}, expected an object, true or false`)
    if (this.#nodes.size >= MOST_NODES) throw new MixtralError('UNSUPPORTED', `the JSON Schema has more than ${MOST_NODES} parts`)
    if (depth > DEEPEST)
      throw new MixtralError('UNSUPPORTED', `the schema at #${pointer.slice(0, 200)}... is more than ${DEEPEST} levels deep`)
    const own = typeof value === 'object' && Object.hasOwn(value, '$id') ? absolute(String(value.$id), base).replace(/#$/, '') : base
    checkPlace(own)
    const isTrue = value === true || (typeof value === 'object' && Object.keys(value).length === 0)
    const node: SchemaNode = { id: this.#nodes.size, value, pointer, base: own, isTrue }
    this.#nodes.set(pointer, node)
    if (typeof value === 'boolean') return node
    if (own !== base && !this.#resources.has(own)) this.#resources.set(own, node)
    for (const name of ['$anchor', '$dynamicAnchor']) {
      if (typeof value[name] === 'string' && !this.#anchors.has(`${own}#${value[name]}`)) this.#anchors.set(`${own}#${value[name]}`, node)
    }
    this.#unevaluated ||= Object.hasOwn(value, 'unevaluatedItems') || Object.hasOwn(value, 'unevaluatedProperties')
    this.#indexParts(node, value, depth)
    return node
  }

  #indexParts(node: SchemaNode, value: Readonly<Record<string, unknown>>, depth: number): void {
    const index = (part: unknown, ...path: (string | number)[]) =>
      this.#index(part, node.pointer + path.map((step) => `/${escaped(String(step))}`).join(''), node.base, depth + 1)
    for (const name of ONE) if (Object.hasOwn(value, name)) index(value[name], name)
    for (const name of LIST) {
      if (!Object.hasOwn(value, name)) continue
      const list = value[name]
      if (!Array.isArray(list))
        throw new MixtralError('OPTION', `${name} at ${shownPointer(node)}/${name} is ${typeOf(list)}, expected a list of schemas`)
      list.forEach((part, i) => {
        index(part, name, i)
      })
    }
    for (const name of NAMED) {
      if (!Object.hasOwn(value, name)) continue
      const named = value[name]
      if (typeof named !== 'object' || named === null || Array.isArray(named)) {
        throw new MixtralError('OPTION', `${name} at ${shownPointer(node)}/${name} is ${typeOf(named)}, expected schemas by name`)
      }
      for (const [key, part] of Object.entries(named)) index(part, name, key)
    }
  }
}

/** Throws a MixtralError `UNSUPPORTED` for a place that is longer than any. */
function checkPlace(place: string): void {
  if (place.length <= LONGEST_PLACE) return
  throw new MixtralError(
    'UNSUPPORTED',
    `the JSON Schema has a part at a place of ${place.length} characters, expected at most ${LONGEST_PLACE}`,
  )
}

/** A node's place as errors show it. */
export function shownPointer(node: SchemaNode): string {
  return `#${node.pointer.split(MADE)[0]}`
}

export function typeOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : value === undefined ? 'missing' : `${/^[aeiou]/.test(typeof value) ? 'an' : 'a'} ${typeof value}`
}

function isSchema(value: unknown): value is SchemaNode['value'] {
  return typeof value === 'boolean' || (typeof value === 'object' && value !== null && !Array.isArray(value))
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment)
  } catch {
    return fragment
  }
}

function absolute(uri: string, base: string): string {
  try {
    return new URL(uri, base).href.replace(/#$/, '')
  } catch {
    return uri
  }
}
