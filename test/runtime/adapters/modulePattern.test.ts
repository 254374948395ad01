// Regular expressions for names of modules, beside those of JavaScript, which read these as Python does.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ModulePattern } from '../../../dist/runtime/adapters/modulePattern.js'

/** As PEFT asks: re.match(rf"(.*\.)?({pattern})$", name). */
const truth = (pattern: string, name: string) => new RegExp(`^(.*\\.)?(${pattern})$`).test(name)
const modules = ['q', 'k', 'v', 'o'].map((one) => `self_attn.${one}_proj`)
const names = [
  '',
  '.',
  ...[0, 1, 13].flatMap((layer) =>
    [...modules, 'mlp.experts.gate_up_proj', 'mlp.gate.weight'].map((one) => `model.layers.${layer}.${one}`),
  ),
]

test.each([
  String.raw`.*\.gate_up_proj`, // PEFT's own, where an adapter becomes one to transformers 5
  String.raw`.*\.layers\.3\..*(q_proj|k_proj|v_proj|o_proj)$`,
  String.raw`.*\.layers\.1\..*(q_proj|k_proj|v_proj|o_proj)$`,
  String.raw`^model\.layers\.(0|13)\.self_attn\.[qk]_proj`,
  String.raw`^layers\.0\.self_attn\.q_proj`,
  String.raw`layers\.\d+\.self_attn\.(?:q|v)_proj`,
  String.raw`layers\.[0-9]\.self_attn.[^q]_proj`,
  String.raw`self_attn[.]\w+`,
  '[.0-9a-z_]*k_proj',
  '.*',
  '.+?proj',
  '',
  'gate_(up_)?proj|weight',
  '(a|a)*(a|b)*q_proj|(|mlp.)gate.weight',
])('%s', (pattern) => {
  const read = ModulePattern.read(pattern)!
  expect(names.filter((name) => read.matches(name))).toEqual(names.filter((name) => truth(pattern, name)))
})

test.each([
  '(',
  ')',
  'a)',
  '(a',
  '*a',
  'a**',
  'a*+',
  'a{2}',
  '[',
  '[]',
  '[z',
  '[^',
  'a^',
  '^a|b',
  'a$b',
  String.raw`\b`,
  String.raw`(a)\1`,
  '(?=a)',
  '(?i)a',
  '\\',
  'a b',
])('%s is refused', (pattern) => {
  expect(ModulePattern.read(pattern)).toBeUndefined()
})

test('random ones', () => {
  const atom = fc.constantFrom('a', 'b', '.', '\\.', '[ab]', '[^a]', '\\d', '\\w')
  const { whole } = fc.letrec<{ whole: string; part: string; one: string }>((tie) => ({
    one: fc
      .tuple(
        fc.oneof(
          { depthSize: 'small' },
          atom,
          tie('whole').map((inner) => `(${inner})`),
        ),
        fc.constantFrom('', '', '*', '+', '?'),
      )
      .map(([a, b]) => a + b),
    part: fc.array(tie('one'), { maxLength: 3 }).map((all) => all.join('')),
    whole: fc.array(tie('part'), { minLength: 1, maxLength: 2 }).map((all) => all.join('|')),
  }))
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.', '1'), maxLength: 8 })
  fc.assert(
    fc.property(whole, name, (pattern, name) => ModulePattern.read(pattern)!.matches(name) === truth(pattern, name)),
    { numRuns: 3000 },
  )
})

test('time is by the length: what would take a backtracking engine years', () => {
  const pattern = ModulePattern.read('(a*)*(a|a)*(a|a)*(a*a*)*b')!
  expect(pattern.matches('a'.repeat(500))).toBe(false)
})
