import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { limits } from '../../dist/base/limits.js'

/** The table as docs/limits.md should have it. */
const rows = Object.values(limits).map(({ what, most, why }) => `| ${what} | ${most.toLocaleString('en-US')} | ${why} |`)

test('the page of limits has the numbers and reasons of the code', () => {
  const page = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8')
  const [, shown] = /^\| limit \| most \| why \|\n\|---\|---\|---\|\n((?:\|.*\n)*)/m.exec(page)!
  expect(shown!.trimEnd().split('\n')).toEqual(rows)
})

test('every limit says what it counts and why it is so', () => {
  for (const { most, what, why } of Object.values(limits)) {
    expect(Number.isSafeInteger(most) && most > 0).toBe(true)
    expect(`${what}${why}`).not.toContain('|')
    expect(why.split(' ').length).toBeGreaterThan(3)
  }
})
