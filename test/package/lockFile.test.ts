// The lock file: `npm ci` compares what it gets of every package, on every platform.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

interface Locked {
  readonly version?: string
  readonly integrity?: string
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
}

const { packages } = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Record<string, Locked>
}
const others = Object.entries(packages).filter(([path]) => path !== '')

test('every package has the hash of its content', () => {
  expect(others.length).toBeGreaterThan(50)
  expect(others.filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '')).map(([path]) => path)).toEqual([])
})

test('no package that users get runs anything when it is installed', () => {
  expect(others.filter(([, { dev, hasInstallScript }]) => !dev && hasInstallScript).map(([path]) => path)).toEqual([])
})
