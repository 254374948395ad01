// Numbers within bounds, against arithmetic on decimal texts.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { accepts, compileLanguage, stateAfter } from '../../../dist/text/constraint/language.js'

/** Numbers as people write them into schemas: whole, or with up to two digits behind the point. */
const bound = fc.oneof(
  fc.integer({ min: -300, max: 300 }),
  fc.integer({ min: -3000, max: 3000 }).map((n) => n / 100),
)
const schema = fc.record(
  {
    type: fc.constantFrom('integer', 'number'),
    minimum: bound,
    exclusiveMinimum: bound,
    maximum: bound,
    exclusiveMaximum: bound,
    multipleOf: fc.constantFrom(1, 2, 7, 12, 0.5, 0.25, 1.5, 0.01),
    not: fc.constantFrom({ multipleOf: 3 }, { multipleOf: 0.5 }, { enum: [0, 1, -2] }, { type: 'integer' }),
  },
  { requiredKeys: ['type'] },
)
const texts = fc.array(fc.stringMatching(/^-?\d{1,3}(\.\d{1,3})?$/), { minLength: 20, maxLength: 20 })

/** A decimal text in thousandths, exact. */
function thousandths(text: string): number {
  const [whole = '', fraction = ''] = text.replace('-', '').split('.')
  return (text.startsWith('-') ? -1 : 1) * (Number(whole) * 1000 + Number(fraction.padEnd(3, '0')))
}

const isMultiple = (text: string, step: number) => thousandths(text) % Math.round(step * 1000) === 0

function expected(text: string, rules: Record<string, unknown>): boolean {
  const canonical = /^(-(?!0(\.0*)?$))?(0|[1-9]\d*)(\.\d+)?$/.test(text)
  if (!canonical || (rules.type === 'integer' && text.includes('.'))) return false
  const value = thousandths(text)
  const at = (name: string) => (rules[name] === undefined ? undefined : Math.round((rules[name] as number) * 1000))
  const [min, max, above, below] = [at('minimum'), at('maximum'), at('exclusiveMinimum'), at('exclusiveMaximum')]
  if ((min !== undefined && value < min) || (max !== undefined && value > max)) return false
  if ((above !== undefined && value <= above) || (below !== undefined && value >= below)) return false
  if (rules.multipleOf !== undefined && !isMultiple(text, rules.multipleOf as number)) return false
  const not = rules.not as { multipleOf?: number; enum?: number[]; type?: string } | undefined
  if (not?.multipleOf !== undefined && isMultiple(text, not.multipleOf)) return false
  if (not?.type === 'integer' && isMultiple(text, 1)) return false
  return !not?.enum?.some((other) => other * 1000 === value)
}

test('a number is accepted where arithmetic says so, and a refused one has a first digit too many', () => {
  fc.assert(
    fc.property(schema, texts, (rules, samples) => {
      const isConstrained = Object.keys(rules).length > 1
      const good = samples.filter((text) => expected(text, rules))
      let language: ReturnType<typeof compileLanguage>
      try {
        language = compileLanguage({ jsonSchema: rules })
      } catch (error) {
        expect((error as Error).message).toContain('matches no text')
        expect(good).toEqual([])
        return
      }
      if (isConstrained)
        for (const text of samples) expect(accepts(language, text), `${text} under ${JSON.stringify(rules)}`).toBe(expected(text, rules))
    }),
    { numRuns: 600 },
  )
})

test('every text that a number may begin with has an end', () => {
  fc.assert(
    fc.property(schema, texts, (rules, samples) => {
      let language: ReturnType<typeof compileLanguage>
      try {
        language = compileLanguage({ jsonSchema: rules })
      } catch {
        return
      }
      for (const text of samples) {
        let state = stateAfter(language, text)
        // the least byte that goes on, until the number may end
        for (let steps = 0; state !== null && !state.mayEnd; steps++) {
          expect(steps).toBeLessThan(40)
          const byte = Array.from({ length: 256 }, (_, each) => each).findLast((each) => language.step(state!, each) !== null)
          expect(byte, `${text} under ${JSON.stringify(rules)}`).toBeDefined()
          state = language.step(state, byte!)
        }
      }
    }),
    { numRuns: 100 },
  )
})

test.each([
  [{ type: 'number', minimum: 1e308 }, 'matches no text'],
  [{ type: 'integer', minimum: 5.1, maximum: 5.9 }, 'matches no text'],
  [{ type: 'integer', multipleOf: 7, minimum: 1, maximum: 6 }, 'matches no text'],
  [{ type: 'integer', minimum: 3, maximum: 4, not: { enum: [3, 4] } }, 'matches no text'],
])('%j has no number', (jsonSchema, message) => {
  expect(() => compileLanguage({ jsonSchema })).toThrow(message)
})

test('digits are few enough that an exclusive bound holds for the float64 too', () => {
  const language = compileLanguage({ jsonSchema: { type: 'number', exclusiveMaximum: 6 } })
  expect(accepts(language, '5.99999999999999')).toBe(true)
  expect(accepts(language, '5.9999999999999999')).toBe(false)
})
