import { expect, test } from 'vitest'
import { Random } from '../../../dist/runtime/sampler/random.js'

test('the numbers lie in [0, 1) and spread evenly', () => {
  const random = new Random(3)
  const buckets = new Array<number>(10).fill(0)
  for (let draw = 0; draw < 50_000; draw++) {
    const number = random.next()
    expect(number >= 0 && number < 1).toBe(true)
    buckets[Math.floor(number * 10)]!++
  }
  for (const count of buckets) expect(Math.abs(count - 5000)).toBeLessThan(300)
})

test('a seed gives the same numbers on every machine', () => {
  const random = new Random(0)
  expect([random.next(), random.next(), random.next()]).toMatchInlineSnapshot(`
    [
      0.41675133265905573,
      0.5870561741002205,
      0.2650367332581032,
    ]
  `)
  expect(new Random(2 ** 53 - 1).next()).toMatchInlineSnapshot(`0.4291911663822512`)
})
