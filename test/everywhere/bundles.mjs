// Programs with this package through bundlers, as docs/runtimes.md says: the package stays outside of the bundle, so
// that its worker and its kernels lie where it looks for them. Vite's server build leaves packages out by itself,
// esbuild is told.

import { execFileSync } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What the error says where the package itself was bundled. */
const remedy = 'leave mixtral-wasm out of the bundle'

const program = `import { MixtralModel } from 'mixtral-wasm'

const model = await MixtralModel.load(process.argv[2] ?? 'demo', { threads: 2 })
const { text } = await model.generate('Once upon a time', { temperature: 0, maxNewTokens: 6 })
console.log(text)
await model.close()
`

/** Builds and runs the program with each bundler, in a copy of the project `empty`; what it printed and should have. */
export function bundles(empty, installed, root) {
  const folder = `${empty}-bundled`
  cpSync(empty, folder, { recursive: true })
  writeFileSync(join(folder, 'story.js'), program)
  const node = (...args) => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' }).trim()
  const built = (build, ...run) => {
    try {
      node(...build)
      return node(...run)
    } catch (error) {
      return error.message
    }
  }
  const flags = ['--bundle', '--platform=node', '--format=esm']
  const esbuild = [join(installed, 'node_modules/esbuild/bin/esbuild'), 'story.js', ...flags]
  const vite = [join(root, 'node_modules/vite/bin/vite.js'), 'build', '--ssr', 'story.js']
  const model = join(folder, 'node_modules/mixtral-wasm/models/tiny-mixtral.Q4_K_M.gguf')
  const whole = built([...esbuild, '--external:piscina', '--outfile=whole/story.js'], 'whole/story.js', model)
  const wanted = ', there was a child named'
  return [
    {
      name: 'bundled by esbuild',
      wanted,
      found: built([...esbuild, '--external:mixtral-wasm', '--outfile=esbuild/story.js'], 'esbuild/story.js'),
    },
    { name: 'bundled by Vite', wanted, found: built([...vite, '--outDir', 'vite'], 'vite/story.js') },
    { name: 'all in one bundle: refused', wanted: remedy, found: whole.includes(remedy) ? remedy : whole },
  ]
}
