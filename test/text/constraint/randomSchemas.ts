// Random JSON Schemas that are worth a walk: all keywords, in combinations that people write and some that they do not.
// The same seed gives the same.

import type { Random } from '../../../dist/runtime/sampler/random.js'

type Schema = Record<string, unknown>

const PATTERNS = [
  '^[a-z]{1,8}$',
  '^\\d{3}-\\d{4}$',
  '^(?:cat|dog|bird)s?$',
  '^[A-Z][a-z]{2,5} [A-Z]\\.$',
  '^.{2,6}$',
  '^#[0-9a-f]{6}$',
  '^[^a-z"]{3}$',
]
const NAMES = ['name', 'age', 'kind', 'tags', 'a', 'b', 'ß"\\', 'items', 'x y']

export class SchemaSource {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  /** A schema of which every text is short. */
  bounded(): unknown {
    return this.#value(3)
  }

  /**
   * A schema with recursion, free strings or free properties: texts have no longest one, though walks end sooner or
   * later.
   */
  unbounded(): unknown {
    const tree = {
      type: 'object',
      properties: { value: this.#scalar(), next: { anyOf: [{ type: 'null' }, { type: 'boolean' }, { $ref: '#/$defs/tree' }] } },
      required: ['next'],
      additionalProperties: false,
    }
    const free = this.#pick([
      { type: 'string' },
      { type: 'array', items: this.#scalar() },
      { type: 'object', additionalProperties: this.#scalar() },
      { type: 'object', properties: { a: this.#value(1) }, required: ['a'] },
      { $ref: '#/$defs/tree' },
      { type: ['number', 'null', 'boolean'] },
      { type: 'object', patternProperties: { '^x[a-z]{1,3}$': this.#scalar() }, additionalProperties: false },
    ])
    return { $defs: { tree }, type: 'object', properties: { first: this.#value(1), free }, required: ['free'], additionalProperties: false }
  }

  #value(depth: number): Schema {
    const make = this.#pick([
      () => this.#scalar(),
      () => this.#scalar(),
      () => this.#list(depth - 1),
      () => this.#object(depth - 1),
      () => this.#object(depth - 1),
      () => this.#combined(depth - 1),
    ])
    return depth <= 0 ? this.#scalar() : make()
  }

  #scalar(): Schema {
    return this.#pick([
      () => this.#string(),
      () => this.#number(),
      () => this.#number(),
      () => ({ type: 'boolean' }),
      () => ({ type: ['null', 'boolean'] }),
      () => ({ enum: [null, 'one', 'two "2"', 3, 4.5, true, ['x'], { y: 1 }].filter(() => this.#chance(0.6)).concat('last') }),
      () => ({ const: this.#pick<unknown>(['só', 0, -1.5, null, [1, { a: [] }]]) }),
    ])()
  }

  #string(): Schema {
    const min = this.#upTo(4)
    return this.#pick<Schema>([
      { type: 'string', minLength: min, maxLength: min + this.#upTo(12) },
      { type: 'string', pattern: this.#pick(PATTERNS) },
      { type: 'string', pattern: this.#pick(['^[a-z]+$', 'b', '^(ab?)*$', '[^\\x00-\\x7f]']), minLength: min, maxLength: 12 },
      { type: 'string', maxLength: 6, not: { enum: ['', 'a', 'b'] } },
    ])
  }

  #number(): Schema {
    const low = this.#upTo(200) - 100
    return this.#pick<Schema>([
      { type: 'integer', minimum: low, maximum: low + this.#upTo(1000) },
      { type: 'number', minimum: low / 8, exclusiveMaximum: low / 8 + 3 },
      { type: 'integer', multipleOf: 1 + this.#upTo(12), minimum: low, maximum: low + 40 },
      { type: 'number', multipleOf: this.#pick([0.5, 0.25, 0.125]) },
      { type: 'integer', exclusiveMinimum: low },
      { type: 'integer' },
      { type: 'number' },
      { type: 'integer', minimum: 0, maximum: 20, not: { multipleOf: 3 } },
    ])
  }

  #list(depth: number): Schema {
    const min = this.#upTo(2)
    const max = min + this.#upTo(3)
    return this.#pick<() => Schema>([
      () => ({ type: 'array', items: this.#value(depth), minItems: min, maxItems: max }),
      () => ({ type: 'array', prefixItems: [this.#value(depth), this.#value(depth)], items: false, minItems: min }),
      () => ({ type: 'array', prefixItems: [this.#value(depth)], items: this.#scalar(), maxItems: 3 }),
      () => ({ type: 'array', items: { type: 'integer', minimum: 0, maximum: 9 }, contains: { minimum: 7 }, maxItems: 4 }),
      () => ({ type: 'array', items: { enum: ['a', 'b', 'c', 'd'] }, uniqueItems: true }),
    ])()
  }

  #object(depth: number): Schema {
    const names = NAMES.filter(() => this.#chance(0.4))
    const properties = Object.fromEntries(names.map((name) => [name, this.#value(depth)]))
    const required = names.filter(() => this.#chance(0.5))
    const more = this.#pick<Schema>([
      {},
      {},
      { maxProperties: names.length },
      { minProperties: required.length },
      { patternProperties: { '^z[0-9]$': this.#scalar() }, maxProperties: 4 + required.length },
      names.length > 1 ? { dependentRequired: { [names[0]!]: [names[1]] } } : {},
      { propertyNames: { maxLength: 5 } },
    ])
    const open = this.#chance(0.15)
      ? { additionalProperties: { type: 'boolean' }, maxProperties: required.length + 2, propertyNames: { maxLength: 9 } }
      : { additionalProperties: false }
    return {
      type: 'object',
      properties,
      required: required.filter((name) => !('propertyNames' in more) || name.length < 6),
      ...more,
      ...open,
    }
  }

  #combined(depth: number): Schema {
    const object = {
      type: 'object',
      properties: { kind: { enum: ['p', 'q'] }, v: { type: ['integer', 'string'], maxLength: 3, minimum: 0, maximum: 9 } },
    }
    return this.#pick<() => Schema>([
      () => ({ anyOf: [this.#value(depth), this.#value(depth)] }),
      () => ({ oneOf: [this.#scalar(), this.#list(depth)] }),
      () => ({
        oneOf: [
          { type: 'integer', minimum: 0, maximum: 50 },
          { type: 'integer', minimum: 40, maximum: 90 },
        ],
      }),
      () => ({ allOf: [this.#number(), { maximum: 300, minimum: -300 }] }),
      () => ({
        allOf: [
          { ...object, required: ['kind'] },
          { properties: { v: { not: { const: 5 } } }, unevaluatedProperties: false },
        ],
        maxProperties: 2,
      }),
      () => ({
        ...object,
        required: ['kind', 'v'],
        additionalProperties: false,
        if: { properties: { kind: { const: 'p' } } },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { properties: { v: { type: 'string' } } },
        else: { properties: { v: { type: 'integer' } } },
      }),
    ])()
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random.next() * items.length)]!
  }

  #upTo(most: number): number {
    return Math.floor(this.#random.next() * (most + 1))
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability
  }
}
