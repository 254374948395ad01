// Inputs that once had a fault, kept by `npm run test:hostile -- --keep`: each is taken or refused with a MixtralError.
// The adversary itself: its parts do what it relies on.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { kinds } from './kinds.mjs'
import { mutateBytes, mutateJson, mutateText } from './mutations.mjs'
import { Random } from './random.mjs'
import { shrink } from './shrink.mjs'
import { faultOf } from './watch.mjs'

const cases = fileURLToPath(new URL('cases', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'hostile-cases-'))

afterAll(async () => {
  for (const kind of kinds.values()) await kind.close?.()
  rmSync(folder, { recursive: true })
})

test('inputs that had a fault have none', async () => {
  for (const name of readdirSync(cases).filter((name) => name.endsWith('.bin'))) {
    const kind = kinds.get(name.split('.')[0]!)!
    const error = await kind.use(new Uint8Array(readFileSync(join(cases, name))), folder).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(error && `${name}: ${faultOf(error)}`).toBeOneOf([undefined, `${name}: undefined`])
  }
})

test('a seed makes the same input again, another seed another one', async () => {
  for (const kind of kinds.values()) {
    const [once, again, other] = [await kind.make(new Random('1'), folder), await kind.make(new Random('1'), folder), new Random('2')]
    expect(Buffer.from(once)).toEqual(Buffer.from(again))
    const others = []
    for (let n = 0; n < 5; n++) others.push(Buffer.from(await kind.make(other, folder)).toString('hex'))
    expect(new Set([Buffer.from(once).toString('hex'), ...others]).size).toBeGreaterThan(1)
  }
})

test('what is damaged stays as it was', () => {
  const random = new Random('x')
  const [bytes, value] = [Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), { a: [1, { b: 'x' }], c: 'y' }]
  for (let n = 0; n < 500; n++) {
    mutateBytes(random, bytes)
    mutateJson(random, value)
    mutateText(random, 'abc', ['d'])
  }
  expect([...bytes]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(value).toEqual({ a: [1, { b: 'x' }], c: 'y' })
})

test('an input shrinks to what its fault needs', async () => {
  const input = new TextEncoder().encode(`${'x'.repeat(500)}a${'y'.repeat(300)}b${'z'.repeat(100)}`)
  const smallest = await shrink(input, async (bytes) => /a.*b/.test(Buffer.from(bytes).toString()))
  expect(Buffer.from(smallest).toString()).toBe('ab')
})
