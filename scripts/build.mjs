// Builds dist/: TypeScript with tsc, and the kernels with asc, once per build in asconfig.json, and the encoders as
// asconfig.encode.json says, and the server's page. A kernel build is skipped while it is newer than every source in
// AssemblyScript.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildPage } from './buildPage.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)
const run = (script, args) => execFileSync(process.execPath, [script, ...args], { stdio: 'inherit' })
const configs = ['asconfig.json', 'asconfig.encode.json']
const sources = [...configs, ...fs.readdirSync('assembly', { recursive: true }).map((name) => path.join('assembly', name))]
const newest = Math.max(...sources.map((file) => fs.statSync(file).mtimeMs))

for (const config of configs) {
  const { targets } = JSON.parse(fs.readFileSync(config, 'utf8'))
  for (const [target, { outFile }] of Object.entries(targets)) {
    if (fs.existsSync(outFile) && fs.statSync(outFile).mtimeMs > newest) continue
    run('node_modules/assemblyscript/bin/asc.js', ['--config', config, '--target', target])
  }
}
run('node_modules/typescript/bin/tsc', ['-p', 'tsconfig.json'])
await buildPage()

// what sources that are gone have left behind would be shipped
for (const name of fs.readdirSync('dist', { recursive: true })) {
  const source = name.match(/^(.*?)(\.js|\.js\.map|\.d\.ts)$/)?.[1]
  if (source !== undefined && !fs.existsSync(path.join('src', `${source}.ts`))) fs.rmSync(path.join('dist', name))
}
