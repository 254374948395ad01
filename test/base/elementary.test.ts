import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cos, exp, ln, pow, sin } from '../../dist/base/elementary.js'

/** The distance of two numbers, in units of the expected one's last place. */
function distance(actual: number, expected: number): number {
  if (actual === expected || (Number.isNaN(actual) && Number.isNaN(expected))) return 0
  return Math.abs(actual - expected) / (Math.max(Math.abs(expected), 2 ** -1022) * 2 ** -52)
}

/** The bits of a float64 as sixteen hexadecimal digits. */
function bits(value: number): string {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  return view.getBigUint64(0).toString(16).padStart(16, '0')
}

const between = (min: number, max: number) => fc.double({ min, max, noNaN: true })

test('exp agrees with Math.exp in all but the last places', () => {
  fc.assert(
    fc.property(between(-708, 709), (x) => distance(exp(x), Math.exp(x)) <= 3),
    { numRuns: 5000 },
  )
})

test('exp overflows, underflows and keeps NaN', () => {
  expect([exp(710), exp(Infinity), exp(-746), exp(-Infinity), exp(Number.NaN)]).toEqual([Infinity, Infinity, 0, 0, Number.NaN])
  expect(exp(0)).toBe(1)
  expect(exp(-745)).toBe(Number.MIN_VALUE)
})

test('ln agrees with Math.log in all but the last places, next to 1 and for subnormals too', () => {
  const positive = fc.oneof(between(Number.MIN_VALUE, Number.MAX_VALUE), between(0.9, 1.1), between(Number.MIN_VALUE, 1e-308))
  fc.assert(
    fc.property(positive, (x) => distance(ln(x), Math.log(x)) <= 2),
    { numRuns: 5000 },
  )
})

test('ln of 0 is -Infinity and of a negative number NaN', () => {
  expect([ln(0), ln(-1), ln(Infinity), ln(1), ln(Number.NaN)]).toEqual([-Infinity, Number.NaN, Infinity, 0, Number.NaN])
})

test('sin and cos agree with Math up to eight million radians', () => {
  const angles = fc.oneof(between(-8_388_608, 8_388_608), between(-10, 10))
  fc.assert(
    fc.property(angles, (x) => Math.abs(sin(x) - Math.sin(x)) <= 2.3e-16 && Math.abs(cos(x) - Math.cos(x)) <= 2.3e-16),
    { numRuns: 5000 },
  )
})

test('sin and cos keep their relative accuracy next to their zeros', () => {
  for (const n of [1, 2, 3, 710, 65_535, 636_619]) {
    const x = n * (Math.PI / 2)
    const [actual, expected] = n % 2 === 0 ? [sin(x), Math.sin(x)] : [cos(x), Math.cos(x)]
    expect(distance(actual, expected), `n = ${n}`).toBeLessThan(16)
  }
})

test('sin and cos are NaN where they would not be accurate', () => {
  expect([sin(1e7), cos(-1e300), sin(Infinity), cos(Number.NaN)]).toEqual(Array(4).fill(Number.NaN))
})

test('pow agrees with Math.pow for the frequencies of rotary embeddings', () => {
  for (const theta of [10_000, 1_000_000, 5e6]) {
    for (let i = 0; i < 64; i++) expect(distance(pow(theta, -i / 64), theta ** (-i / 64)), `${theta}^(-${i}/64)`).toBeLessThanOrEqual(2)
  }
})

test('pow agrees with Math.pow over the whole range', () => {
  fc.assert(
    fc.property(between(1e-300, 1e300), between(-300, 300), (x, y) => {
      const expected = x ** y
      fc.pre(expected > 1e-300 && expected < 1e300)
      return distance(pow(x, y), expected) <= 8
    }),
    { numRuns: 5000 },
  )
})

test('pow of the edges', () => {
  expect([pow(0, 2), pow(0, -1), pow(0, 0), pow(1, Infinity), pow(2, 10), pow(2, -1074), pow(2, 1024), pow(-2, 2)]).toEqual([
    0,
    Infinity,
    1,
    1,
    1024,
    Number.MIN_VALUE,
    Infinity,
    Number.NaN,
  ])
})

test('the bits are the same in every engine', () => {
  const values = [
    exp(1),
    exp(-0.1),
    exp(100.5),
    ln(10),
    ln(0.3),
    sin(1),
    sin(123_456.789),
    cos(1),
    cos(-65_536),
    pow(1e6, -3 / 64),
    pow(10, 0.5),
  ]
  expect(values.map(bits)).toMatchInlineSnapshot(`
    [
      "4005bf0a8b14576a",
      "3fecf46d99d52b3a",
      "48ffcc37a76f9e76",
      "40026bb1bbb55516",
      "bff34378fcbda721",
      "3feaed548f090cee",
      "bfeff50e60ab53f9",
      "3fe14a280fb5068c",
      "bfe719453109288b",
      "3fe0beddc8f2a614",
      "40094c583ada5b52",
    ]
  `)
})
