// The command lines of the benches: --help prints what the bench measures and how to call it, and a wrong option is
// refused before anything is measured.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const folder = fileURLToPath(new URL('../../bench/', import.meta.url))
const usageOf = (name: string) => /^\/\/ ((?:node bench|npm run)\S* .*)$/m.exec(readFileSync(folder + name, 'utf8').split('\n')[0]!)?.[1]
const scripts = readdirSync(folder).flatMap((name) => {
  const usage = name.endsWith('.mjs') ? usageOf(name) : undefined
  return usage === undefined ? [] : [{ name, usage }]
})

function run(name: string, flag: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) =>
    execFile(process.execPath, [folder + name, flag], (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  )
}

test('the benches are those that the page lists', () => {
  const page = readFileSync(`${folder}README.md`, 'utf8')
  const listed = [...page.matchAll(/^\| `(?:node bench\/(\w+)\.mjs|npm run (bench|synth))/gm)].map(([, file, script]) => file ?? script!)
  expect(scripts.map(({ name }) => name.replace(/^kernels\.mjs$/, 'bench').replace('.mjs', '')).sort()).toEqual(listed.sort())
})

test.each(scripts)('$name --help', async ({ name, usage }) => {
  const { code, stdout, stderr } = await run(name, '--help')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.startsWith(`${usage}\n`)).toBe(true)
  expect(stdout.split('\n').length).toBeGreaterThan(3)
})

test('an unknown option ends a bench with 2 and its usage', async () => {
  expect(await run('sampler.mjs', '--fast')).toEqual({
    code: 2,
    stdout: '',
    stderr: "Unknown option '--fast'\nusage: node bench/sampler.mjs [--vocabulary 32000] [--quick] [--json]\n",
  })
})
