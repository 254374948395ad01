// What `npm publish` would send: the files in the tarball, their size, and what happens, or does not, when somebody
// installs it.

import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const json = (file: string) => JSON.parse(readFileSync(root + file, 'utf8'))
const { scripts, exports, bin, dependencies } = json('package.json')

interface Packed {
  readonly size: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
}
const pack = ['pack', '--dry-run', '--json', '--ignore-scripts']
const [packed]: Packed[] = JSON.parse(execFileSync('npm', pack, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
const paths = packed!.files.map(({ path }) => path)

test('the tarball holds the build, the demo model and the papers, nothing else', () => {
  const expected =
    /^(dist\/.+\.(js|d\.ts|wasm)|dist\/interfaces\/(server\/page\.html|cli\/report\.json)|models\/(README\.md|tiny-mixtral\.Q4_K_M\.gguf)|README\.md|LICENSE|package\.json)$/
  expect(paths.filter((path) => !expected.test(path))).toEqual([])
  expect(paths).toEqual(
    expect.arrayContaining([
      'README.md',
      'LICENSE',
      'models/README.md',
      'models/tiny-mixtral.Q4_K_M.gguf',
      'dist/interfaces/server/page.html',
      'dist/interfaces/cli/report.json',
    ]),
  )
})

test('the tarball has less than 12 MB', () => {
  expect(packed!.size).toBeLessThan(12e6)
})

test('everything that package.json points to is in the tarball', () => {
  const targets = [
    ...Object.values(bin),
    ...['.', './server', './batch', './ai', './langchain'].flatMap((entry) => Object.values(exports[entry])),
  ].map((path) => String(path).replace(/^\.\//, ''))
  expect(paths).toEqual(expect.arrayContaining(targets))
})

test("npx runs the command by the package's name: it is the only one", () => {
  expect(Object.keys(bin)).toEqual(['mixtral'])
})

test('the build has one file for each source, and none of a source that is gone', () => {
  const stale = paths.filter((path) => /^dist\/.*\.js$/.test(path) && !exists(path.replace(/^dist\/(.*)\.js$/, 'src/$1.ts')))
  expect(stale, 'npm run build does not delete: remove dist/ and build again').toEqual([])
})

test('both kernel builds are there, in at most 640 KiB together, and the encoders', () => {
  const [encoders, ...kernels] = packed!.files.filter(({ path }) => path.endsWith('.wasm')).sort((a, b) => (a.path < b.path ? -1 : 1))
  expect(kernels.map(({ path }) => path)).toEqual(['dist/runtime/kernels/relaxed-simd.wasm', 'dist/runtime/kernels/simd.wasm'])
  expect(kernels.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(640 * 1024)
  expect(encoders!.path).toBe('dist/runtime/kernels/encode.wasm')
  expect(encoders!.size).toBeLessThanOrEqual(40_000)
})

test('nothing runs at installation, neither of ours nor of a dependency', () => {
  expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$/.test(name))).toEqual([])
  const installed = Object.entries<{ dev?: true; hasInstallScript?: true }>(json('package-lock.json').packages)
  const withScript = installed.filter(([path, { dev, hasInstallScript }]) => path && !dev && hasInstallScript)
  expect(withScript.map(([path]) => path)).toEqual([])
})

test('dependencies have exact versions', () => {
  expect(Object.values<string>(dependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
})

function exists(path: string): boolean {
  return statSync(root + path, { throwIfNoEntry: false }) !== undefined
}
