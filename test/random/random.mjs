// The random test for as long as you like: `npm run test:random -- --minutes N --seed S`, in the runtime that runs it,
// or with --everywhere in every runtime of test/everywhere, which share the minutes. Prints seeds and counts, a line a
// runtime; exit code 1 if an answer was not a fresh model's. The same seed makes the same calls.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { environment, installRuntimes, runtimes } from '../everywhere/runtimes.mjs'
import { runRounds } from './rounds.mjs'

const file = fileURLToPath(import.meta.url)
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' }, everywhere: { type: 'boolean', default: false } },
})
const minutes = Number(values.minutes)
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error('usage: npm run test:random -- [--minutes N] [--seed S] [--everywhere]')
  process.exit(2)
}

if (values.everywhere) everywhere()
else await here()

async function here() {
  const { bun, deno, node } = process.versions
  const runtime = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`
  const noticed = []
  process.on('unhandledRejection', (error) => noticed.push(`unhandled rejection: ${error}`))
  process.on('warning', ({ name, message }) => noticed.push(`warning: ${name}: ${message}`))
  const { wrong, ...counts } = await runRounds({ seed, until: Date.now() + minutes * 60_000 })
  const told = Object.entries(counts).map(([name, count]) => `${count} ${name}`)
  console.log(`${runtime}, seed ${seed}: ${told.join(', ')}, ${wrong.length} wrong`)
  for (const line of [...wrong, ...noticed]) console.log(`  ${line}`)
  process.exit(wrong.length + noticed.length > 0 ? 1 : 0)
}

function everywhere() {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-random-'))
  try {
    const programs = installRuntimes(runtimes, join(folder, 'runtimes'), { own: false })
    for (const [i, { name }] of runtimes.entries()) {
      const program = programs.get(name)
      const own = [...(name.startsWith('Deno') ? ['run', '--allow-all'] : []), file]
      const args = [...own, '--minutes', String(minutes / runtimes.length), '--seed', String(seed + i)]
      const { status } = spawnSync(program, args, { stdio: 'inherit', env: environment(program) })
      if (status !== 0) process.exitCode = 1
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
