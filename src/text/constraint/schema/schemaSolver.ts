// From schemas to the values that satisfy them. Owns which keywords there are: each is applied, ignored as an
// annotation, or refused by name.

import { MixtralError, shown } from '../../../base/errors.js'
import { decimalOf } from '../decimals.js'
import { remembered } from '../memo.js'
import { costOf, isIn, NumberMachine } from '../numbers.js'
import { partMatch } from '../pattern.js'
import type { Term, Terms } from '../terms.js'
import { arrayKeywords, withUnevaluatedItems } from './arrayKeywords.js'
import { type Goal, goalOf, type Literal, NOTHING } from './goals.js'
import { type Keyword, KeywordUse, type Solver } from './keyword.js'
import { logicKeywords } from './logicKeywords.js'
import { objectKeywords, withUnevaluatedProperties } from './objectKeywords.js'
import { scalarKeywords } from './scalarKeywords.js'
import { type SchemaDocument, type SchemaNode, shownPointer } from './schemaDocument.js'
import {
  type ArrayShape,
  anyValue,
  intersectionOf,
  type NumberShape,
  noValue,
  type ObjectShape,
  TOO_MANY_ALTERNATIVES,
  unionOf,
  type ValueShapes,
} from './shapes.js'
import type { StringLanguages } from './stringLanguages.js'

/**
 * In the order in which they are applied, which is the order of an object's properties: a schema's own before those of
 * schemas within it.
 */
const KEYWORDS: Readonly<Record<string, Keyword>> = { ...scalarKeywords, ...arrayKeywords, ...objectKeywords, ...logicKeywords }

/** Keywords that say nothing about what is valid, or that another one reads. */
const IGNORED = new Set([
  ...['$schema', '$id', '$anchor', '$dynamicAnchor', '$defs', 'definitions', '$comment', 'title', 'description', 'default', 'examples'],
  ...['deprecated', 'readOnly', 'writeOnly', 'contentEncoding', 'contentMediaType', 'contentSchema', 'discriminator'],
  // of OpenAPI, editors and generators of schemas
  ...['nullable', 'example', 'xml', 'externalDocs', 'enumNames', 'enumDescriptions', 'markdownDescription', 'propertyOrdering'],
  ...['errorMessage', 'strict'],
  ...['then', 'else', 'minContains', 'maxContains', 'unevaluatedItems', 'unevaluatedProperties'],
])
const REFUSED: Readonly<Record<string, string>> = {
  $dynamicRef: 'what it means depends on how the schema was reached',
  $recursiveRef: 'it belongs to an older draft',
  $vocabulary: 'it belongs into a meta-schema',
  dependencies: 'it belongs to an older draft, expected dependentRequired or dependentSchemas',
  additionalItems: 'it belongs to an older draft, expected items beside prefixItems',
}
const DRAFTS = /^https?:\/\/json-schema\.org\/(schema|draft(\/2020-12|\/2019-09|-0[67])\/schema)#?$/

/** Schemas in schemas at one place, as a chain of $ref. */
const DEEPEST_CHAIN = 300
/** Values in values, to prove that there are none; beyond it nothing is proved. */
const DEEPEST_PROOF = 16

export class SchemaSolver implements Solver {
  readonly terms: Terms
  readonly document: SchemaDocument
  readonly strings: StringLanguages
  /** Whether keywords that are unknown or not supported are left out. */
  readonly lenient: boolean
  readonly #shapes = new Map<string, ValueShapes>()
  readonly #open = new Set<string>()
  readonly #patterns = new Map<string, Term>()
  readonly #emptiness = new Map<string, boolean>()
  #depth = 0

  constructor(terms: Terms, document: SchemaDocument, strings: StringLanguages, lenient: boolean) {
    this.lenient = lenient
    this.terms = terms
    this.document = document
    this.strings = strings
    const draft = typeof document.root.value === 'object' ? document.root.value.$schema : undefined
    if (!lenient && draft !== undefined && !(typeof draft === 'string' && DRAFTS.test(draft))) {
      throw new MixtralError('UNSUPPORTED', `$schema at #/$schema is ${shown(draft)}, expected a draft of json-schema.org`)
    }
  }

  shapesOf(literal: Literal): ValueShapes {
    const key = `${literal.positive}${literal.node.id}`
    const known = this.#shapes.get(key)
    if (known) return known
    if (this.#open.has(key)) {
      throw new MixtralError('OPTION', `the schema at ${shownPointer(literal.node)} refers to itself with nothing in between`)
    }
    if (this.#open.size >= DEEPEST_CHAIN) {
      throw new MixtralError(
        'UNSUPPORTED',
        `the schema at ${shownPointer(literal.node)} is at the end of ${DEEPEST_CHAIN} references, expected fewer`,
      )
    }
    this.#open.add(key)
    this.terms.budget.spend(50)
    try {
      const shapes = literal.positive ? this.#holds(literal.node) : this.#fails(literal.node)
      this.#shapes.set(key, shapes)
      return shapes
    } finally {
      this.#open.delete(key)
    }
  }

  goalShapes(goal: Goal): ValueShapes {
    if (goal === NOTHING) return noValue
    const { budget } = this.terms
    return goal.literals.reduce<ValueShapes>((shapes, literal) => intersectionOf(shapes, this.shapesOf(literal), budget), anyValue)
  }

  pattern(source: string, what: string): Term {
    return remembered(this.#patterns, source, () => partMatch(this.terms, source, what))
  }

  /** What a property must be in an object of this shape. */
  propertyGoal(shape: ObjectShape, name: string): Goal {
    if (!shape.keys.every((keys) => this.goalShapes(keys).strings.some((strings) => this.strings.has(strings, name)))) return NOTHING
    const literals: Literal[] = []
    for (const { names, patterns, rest } of shape.rules) {
      const named = names.get(name)
      const matching = patterns.filter(({ term }) => this.strings.matches(term, name)).map(({ goal }) => goal)
      const goals = named ? [named, ...matching] : matching
      for (const goal of goals.length > 0 ? goals : [rest]) {
        if (goal === NOTHING) return NOTHING
        for (const literal of goal.literals) literals.push(literal)
      }
    }
    return goalOf(literals)
  }

  /** What an item must be in a list of this shape. */
  itemGoal(shape: ArrayShape, index: number): Goal {
    const goals = shape.rules.map(({ prefix, rest }) => prefix[index] ?? rest)
    return goals.includes(NOTHING) ? NOTHING : goalOf(goals.flatMap(({ literals }) => literals))
  }

  isEmpty(shapes: ValueShapes): boolean {
    if (shapes.null || shapes.booleans.length > 0) return false
    return (
      shapes.numbers.every((shape) => this.isEmptyNumber(shape)) &&
      shapes.strings.every((shape) => this.strings.of(shape) === this.terms.none) &&
      shapes.arrays.every((shape) => this.#isEmptyArray(shape)) &&
      shapes.objects.every((shape) => shape.required.some((name) => this.#isEmptyGoal(this.propertyGoal(shape, name))))
    )
  }

  isEmptyNumber(shape: NumberShape): boolean {
    const { budget } = this.terms
    if (!shape.values) return new NumberMachine(shape, budget).isEmpty
    return !shape.values.some((value) => {
      budget.spend(costOf(shape))
      return isIn(shape, decimalOf(value))
    })
  }

  #isEmptyArray(shape: ArrayShape): boolean {
    const named = Math.max(0, ...shape.rules.map(({ prefix }) => prefix.length))
    for (let i = 0; i < Math.min(shape.min, named + 1); i++) if (this.#isEmptyGoal(this.itemGoal(shape, i))) return true
    return shape.counted.some(({ goal, from, min, max }) => min > max || (min > 0 && (from + min > shape.max || this.#isEmptyGoal(goal))))
  }

  #isEmptyGoal(goal: Goal): boolean {
    if (goal === NOTHING) return true
    const known = this.#emptiness.get(goal.key)
    if (known !== undefined) return known
    if (this.#depth >= DEEPEST_PROOF) return false
    this.#depth++
    this.#emptiness.set(goal.key, false) // what only a recursion could refute is not refuted
    const isEmpty = this.isEmpty(this.goalShapes(goal))
    this.#emptiness.set(goal.key, isEmpty)
    this.#depth--
    return isEmpty
  }

  #holds(node: SchemaNode): ValueShapes {
    if (typeof node.value === 'boolean') return node.value ? anyValue : noValue
    const beside = this.#uses(node).reduce<ValueShapes>(
      (shapes, { use, keyword }) =>
        this.#supported(shapes, () => placed(use, () => intersectionOf(shapes, keyword.holds(use), this.terms.budget))),
      anyValue,
    )
    const withItems = Object.hasOwn(node.value, 'unevaluatedItems')
      ? this.#supported(beside, () => withUnevaluatedItems(new KeywordUse(node, 'unevaluatedItems', this), beside))
      : beside
    return Object.hasOwn(node.value, 'unevaluatedProperties')
      ? this.#supported(withItems, () => withUnevaluatedProperties(new KeywordUse(node, 'unevaluatedProperties', this), withItems))
      : withItems
  }

  /** What a keyword leaves; of one that is not supported, all that was there before, if that is wanted. */
  #supported(otherwise: ValueShapes, run: () => ValueShapes): ValueShapes {
    try {
      return run()
    } catch (error) {
      if (this.lenient && error instanceof MixtralError && error.code === 'UNSUPPORTED') return otherwise
      throw error
    }
  }

  #fails(node: SchemaNode): ValueShapes {
    if (typeof node.value === 'boolean') return node.value ? noValue : anyValue
    for (const name of ['unevaluatedItems', 'unevaluatedProperties']) {
      if (!Object.hasOwn(node.value, name)) continue
      if (this.lenient) return anyValue
      throw new KeywordUse(node, name, this).unsupported('in a schema that must not hold')
    }
    // any value may break a keyword that is left out
    const failing = () => this.#uses(node).map(({ use, keyword }) => this.#supported(anyValue, () => placed(use, () => keyword.fails(use))))
    return this.#supported(anyValue, () => unionOf(failing(), this.terms.budget))
  }

  /** The keywords of a schema, in the order of KEYWORDS. */
  #uses(node: SchemaNode): { use: KeywordUse; keyword: Keyword }[] {
    const schema = node.value as Readonly<Record<string, unknown>>
    for (const name of Object.keys(schema)) {
      if (Object.hasOwn(KEYWORDS, name) || IGNORED.has(name) || name.startsWith('x-')) continue
      if (this.lenient) continue
      const use = new KeywordUse(node, name, this)
      if (Object.hasOwn(REFUSED, name)) throw use.unsupported(REFUSED[name]!)
      throw new MixtralError('OPTION', `${use.place} is not a keyword of JSON Schema, expected one, or a name that begins with x-`)
    }
    return Object.entries(KEYWORDS).flatMap(([name, keyword]) =>
      Object.hasOwn(schema, name) ? { use: new KeywordUse(node, name, this), keyword } : [],
    )
  }
}

/** Says where there were too many alternatives. */
function placed<T>(use: KeywordUse, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof MixtralError && error.message === TOO_MANY_ALTERNATIVES) throw use.unsupported(error.message)
    throw error
  }
}
