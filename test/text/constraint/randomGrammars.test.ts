// Random grammars, recursive and ambiguous ones too, against a recognizer that tries everything: where each part of a
// rule may end, place by place.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { accepts, compileLanguage } from '../../../dist/text/constraint/language.js'

type Node =
  | { kind: 'text'; text: string }
  | { kind: 'rule'; rule: number }
  | { kind: 'sequence' | 'choice'; parts: Node[] }
  | { kind: 'repeat'; part: Node; min: number; max: number }

const RULES = 3
const { node } = fc.letrec<{ node: Node; leaf: Node }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom('a', 'b', 'ab', '').map((text): Node => ({ kind: 'text', text })),
    fc.nat({ max: RULES - 1 }).map((rule): Node => ({ kind: 'rule', rule })),
    // a symbol before the rule, since most grammars without one are left-recursive
    fc.tuple(fc.constantFrom('a', 'b'), fc.nat({ max: RULES - 1 })).map(([text, rule]): Node => {
      const parts: Node[] = [
        { kind: 'text', text },
        { kind: 'rule', rule },
      ]
      return { kind: 'sequence', parts }
    }),
  ),
  node: fc.oneof(
    { depthSize: 'small' },
    tie('leaf'),
    fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((parts): Node => ({ kind: 'sequence', parts })),
    fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((parts): Node => ({ kind: 'choice', parts })),
    fc
      .tuple(tie('node'), fc.constantFrom([0, 1], [0, Infinity], [1, Infinity], [2, 2], [1, 3], [0, 2]))
      .map(([part, [min, max]]): Node => ({ kind: 'repeat', part, min: min!, max: max! })),
  ),
}))

function written(node: Node): string {
  if (node.kind === 'text') return JSON.stringify(node.text)
  if (node.kind === 'rule') return node.rule === 0 ? 'root' : `r${node.rule}`
  if (node.kind === 'repeat') return `(${written(node.part)}){${node.min},${node.max === Infinity ? '' : node.max}}`
  return `(${node.parts.map(written).join(node.kind === 'sequence' ? ' ' : ' | ')})`
}

/** Whether the text is in the language of the first rule, which must not be left-recursive. */
function derives(rules: readonly Node[], text: string): boolean {
  const known = new Map<string, Set<number>>()
  const ends = (node: Node, from: number): Set<number> => {
    switch (node.kind) {
      case 'text':
        return new Set(text.startsWith(node.text, from) ? [from + node.text.length] : [])
      case 'rule': {
        const key = `${node.rule},${from}`
        const found = known.get(key) ?? ends(rules[node.rule]!, from)
        known.set(key, found)
        return found
      }
      case 'choice':
        return new Set(node.parts.flatMap((part) => [...ends(part, from)]))
      case 'sequence': {
        let places = new Set([from])
        for (const part of node.parts) places = new Set([...places].flatMap((place) => [...ends(part, place)]))
        return places
      }
      default: {
        const all = new Set<number>(node.min === 0 ? [from] : [])
        let places = new Set([from])
        // beyond the text's length, repeats add nothing but the empty text
        for (let count = 1; count <= Math.min(node.max, node.min + text.length + 1); count++) {
          places = new Set([...places].flatMap((place) => [...ends(node.part, place)]))
          if (count >= node.min) for (const place of places) all.add(place)
        }
        return all
      }
    }
  }
  return ends({ kind: 'rule', rule: 0 }, 0).has(text.length)
}

test('random grammars accept what can be derived, and nothing else', () => {
  const texts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 7 }), { minLength: 12, maxLength: 12 })
  let [compared, accepted] = [0, 0]
  fc.assert(
    fc.property(fc.tuple(...Array.from({ length: RULES }, () => node)), texts, (rules, samples) => {
      const grammar = rules.map((rule, i) => `${i === 0 ? 'root' : `r${i}`} ::= ${written(rule)}`).join('\n')
      let language: ReturnType<typeof compileLanguage>
      try {
        language = compileLanguage({ grammar })
      } catch (error) {
        expect(error).toBeInstanceOf(MixtralError)
        expect((error as Error).message).toMatch(/left-recursive|matches no text/)
        return
      }
      compared++
      for (const text of samples) {
        const expected = derives(rules, text)
        accepted += Number(expected)
        expect(accepts(language, text), `${text} by\n${grammar}`).toBe(expected)
      }
    }),
    { numRuns: 600 },
  )
  expect(compared).toBeGreaterThan(150)
  expect(accepted).toBeGreaterThan(200)
})
