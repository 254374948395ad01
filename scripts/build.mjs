// Builds dist/: TypeScript with tsc, and the kernels with asc, once per build in asconfig.json.
// A kernel build is skipped while it is newer than every AssemblyScript source.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)
const run = (script, args) => execFileSync(process.execPath, [script, ...args], { stdio: 'inherit' })
const { targets } = JSON.parse(fs.readFileSync('asconfig.json', 'utf8'))
const sources = ['asconfig.json', ...fs.readdirSync('assembly').map((name) => path.join('assembly', name))]
const newest = Math.max(...sources.map((file) => fs.statSync(file).mtimeMs))

for (const [target, { outFile }] of Object.entries(targets)) {
  if (fs.existsSync(outFile) && fs.statSync(outFile).mtimeMs > newest) continue
  run('node_modules/assemblyscript/bin/asc.js', ['--config', 'asconfig.json', '--target', target])
}
run('node_modules/typescript/bin/tsc', ['-p', 'tsconfig.json'])
