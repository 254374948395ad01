// The packed package in every runtime: the example, a tour of the library, the command, a pull, and the determinism
// matrix, in which all logits of the demo model have one SHA-256 and a seed gives one text. Then the server's tests
// with servers in each, the kernel tests where kernels become 256-bit vectors, and bundlers. Prints a table; exit code
// 1 if anything differs. `--quick`: as CI runs it, in fewer runtimes and cells.

import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { bundles } from './bundles.mjs'
import { startDemoRegistry } from './demoRegistry.mjs'
import { environment, installRuntimes, runtimes, scriptsOf } from './runtimes.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const json = (file) => JSON.parse(readFileSync(join(root, file), 'utf8'))
const quick = process.argv.includes('--quick')

const chosen = runtimes.filter(({ ci }) => ci || !quick)
const builds = ['simd', 'relaxed-simd']
const cells = quick
  ? [
      { threads: 1, batchSize: 128 },
      { threads: 3, batchSize: 7, streamed: true },
    ]
  : [1, 2, 3, 5].flatMap((threads) =>
      [1, 7, 128].flatMap((batchSize) => [
        { threads, batchSize },
        { threads, batchSize, streamed: true },
      ]),
    )
const { tokens } = json('test/golden/demo/logits.json')
/** Hashes of this version's results. A change that is meant to change a result changes this file too. */
const expected = json('test/everywhere/expected.json')
/** A draw that other bits in a logit or in the random numbers would soon turn elsewhere. */
const sampling = {
  prompt: 'Long ago, in a far away land,',
  options: { seed: 4, temperature: 0.9, topP: 0.95, maxNewTokens: 40 },
  everySampler: {
    ...{
      seed: 4,
      temperature: 0.9,
      dynatempRange: 0.3,
      topK: 200,
      topP: 0.98,
      minP: 0.001,
      typicalP: 0.99,
      topNSigma: 4,
      maxNewTokens: 40,
    },
    ...{
      xtcProbability: 0.2,
      repetitionPenalty: 1.05,
      frequencyPenalty: 0.1,
      presencePenalty: 0.1,
      dryMultiplier: 0.8,
      adaptiveTarget: 0.4,
    },
    ...{ logitBias: [[' the', -1]], bannedWords: ['glass'], minTokens: 20 },
  },
}
/** A task whose scores have one hash, too. Its file goes where Deno may read. */
const items = 'test/evaluation/tasks/files/hellaswag.jsonl'
const task = { name: 'hellaswag', file: 'node_modules/mixtral-wasm/items.jsonl' }
const tour = `loaded 6 layers
streamed , there was a child named
at once 15 answers of 15
chatted The capital of France is Paris.
AbortError ABORTED after 3 pieces
again , there was a child named
CLOSED at the end`

const answer = 'The capital of France is Paris.'
/** What every example begins with. */
const story = 'Once upon a time, there was a child named'

const faults = []
const scratch = mkdtempSync(join(tmpdir(), 'mixtral-everywhere-'))
const registry = await startDemoRegistry(join(root, 'models/tiny-mixtral.Q4_K_M.gguf'))
try {
  const programs = installRuntimes(chosen, join(scratch, 'runtimes'), { own: quick })
  const empty = installPackage(join(scratch, 'empty'))
  row('runtime', 'kernels', 'example', 'tour', 'command', 'pull', 'cells', 'SHA-256', 'text')
  for (const runtime of chosen) {
    const project = prepareProject(runtime, empty)
    for (const build of builds) {
      await visit(runtime.name, build, project, environment(programs.get(runtime.name), { MIXTRAL_KERNELS: build }))
    }
    const left = await run(project.scripts.all('leftovers.mjs'), project.folder, environment(programs.get(runtime.name)))
    console.log(`${`${runtime.name}, closed models`.padEnd(28)}${compare(`${runtime.name}: left of closed models`, 'nothing', left)}`)
  }
  for (const { name, server } of chosen) testServer(name, [programs.get(name), ...server])
  for (const { name } of chosen.filter(({ wideVectors }) => wideVectors)) testKernels(name, programs.get(name))
  for (const { name } of chosen.filter(({ wideVectors }) => wideVectors)) testFrameworks(name, programs.get(name))
  for (const { name, found, wanted } of bundles(empty, join(scratch, 'runtimes'), root)) {
    console.log(`${name.padEnd(28)}${compare(name, wanted, found)}`)
  }
} finally {
  registry.close()
  rmSync(scratch, { recursive: true })
}
for (const fault of faults) console.error(fault)
process.exitCode = faults.length ? 1 : 0

/**
 * The kernel tests of this checkout, where V8 compiles kernels in another way than on the Node that runs `npm test`.
 */
function testKernels(name, program) {
  const { status, stdout } = spawnSync(program, ['node_modules/vitest/vitest.mjs', 'run', 'test/runtime/kernels'], {
    cwd: root,
    encoding: 'utf8',
  })
  console.log(`${`${name}, kernel tests`.padEnd(28)}${status === 0 ? 'ok' : 'failed'}`)
  if (status !== 0) faults.push(`${name}: the kernel tests fail\n${stdout.slice(-4000)}`)
}

/** The tests of providers for frameworks, also under the AI SDK that wants a newer Node than this checkout does. */
function testFrameworks(name, program) {
  const folder = join(scratch, `${name.replace(' ', '-')}-frameworks`)
  mkdirSync(folder)
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--engine-strict=false']
  execFileSync('npm', ['install', ...flags, 'ai@7.0.173'], { cwd: folder })
  const { status, stdout } = spawnSync(program, ['node_modules/vitest/vitest.mjs', 'run', 'test/interfaces/frameworks'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, MIXTRAL_TEST_AI: folder },
  })
  console.log(`${`${name}, frameworks`.padEnd(28)}${status === 0 ? 'ok' : 'failed'}`)
  if (status !== 0) faults.push(`${name}: the tests of frameworks fail\n${stdout.slice(-4000)}`)
}

/**
 * The tests of the server in this checkout, with servers in that runtime: real clients, operation, limits. Quick: the
 * clients and the operation.
 */
function testServer(name, command) {
  const files = quick ? ['ai', 'langchain', 'ollama', 'openai', 'operation'] : ['']
  const paths = files.map((file) => `test/interfaces/server/${file}`)
  const { status, stdout } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...paths], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, MIXTRAL_TEST_RUNTIME: JSON.stringify(command) },
  })
  console.log(`${`${name}, servers`.padEnd(28)}${status === 0 ? 'ok' : 'failed'}`)
  if (status !== 0) faults.push(`${name}: the tests of the server fail\n${stdout.slice(-4000)}`)
}

/** A project with the packed package, as npm installs it. Returns its folder. */
function installPackage(folder) {
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  const quiet = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }
  const tarball = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], quiet).trim()
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', `./${tarball}`], { ...quiet, cwd: folder })
  return folder
}

/** A project for a runtime: package, example, tour and matrix. Returns its folder, and how files are run in it. */
function prepareProject({ name, project }, empty) {
  const folder = join(scratch, name.replace(' ', '-'))
  cpSync(empty, folder, { recursive: true })
  cpSync(join(root, 'examples', project), folder, { recursive: true })
  for (const file of ['tour.mjs', 'cells.mjs', 'leftovers.mjs']) cpSync(join(root, 'test/everywhere', file), join(folder, file))
  writeFileSync(join(folder, 'matrix.json'), JSON.stringify({ cells, tokens, sampling, task }))
  cpSync(join(root, items), join(folder, task.file))
  return { folder, scripts: scriptsOf(project, (file) => readFileSync(join(root, file), 'utf8')) }
}

/** Everything in one runtime with one kernel build: a row of the table. */
async function visit(name, build, { folder, scripts }, env) {
  const label = `${name}, ${build}`
  const told = compare(`${label}: the example`, story, (await run(scripts.start, folder, env)).slice(0, story.length))
  const toured = compare(`${label}: the tour`, tour, await run(scripts.file('tour.mjs'), folder, env))
  const asked = await run(`${scripts.mixtral} run '[INST] What is the capital of France? [/INST]' --temperature 0`, folder, env)
  const commanded = compare(`${label}: the command`, answer, asked)
  const pulled = compare(
    `${label}: a pull`,
    registry.sha256,
    await pull(scripts, folder, { ...env, MIXTRAL_HOME: join(folder, 'store', build) }),
  )
  const output = await run(`${scripts.file('cells.mjs')} <matrix.json`, folder, env)
  const ran = output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
  if (ran.length !== cells.length) faults.push(`${label}: ${ran.length} of ${cells.length} cells ran\n${output}`)
  for (const { runtime, kernels, cell, fresh, reused, text, everySampler, together, scores, q8 } of ran) {
    const where = `${label}, ${JSON.stringify(cell)}`
    compare(`${where}: the runtime`, name, runtime.startsWith(`${name}.`) ? name : runtime)
    compare(`${where}: the kernels`, build, kernels)
    compare(`${where}: logits`, expected.logits, fresh)
    compare(`${where}: logits with reuse of prefixes`, expected.logits, reused)
    compare(`${where}: sampled text`, expected.text, text)
    compare(`${where}: text with every sampler`, expected.everySampler, everySampler)
    compare(`${where}: scores of a task`, expected.scores, scores)
    compare(`${where}: logits with a KV cache of 8 bits`, expected.q8, q8.fresh)
    compare(`${where}: the same with reuse of prefixes`, expected.q8, q8.reused)
    const all = { fresh: expected.logits, same: true, text: expected.text, everySampler: expected.everySampler }
    compare(`${where}: all of these at the same time`, JSON.stringify(all), JSON.stringify(together))
  }
  const hashes = ran.flatMap(({ fresh, reused, together }) => [fresh, reused, together.fresh])
  const right = hashes.filter((hash) => hash === expected.logits).length
  const texts = ran.filter(({ text, everySampler }) => text === expected.text && everySampler === expected.everySampler).length
  const shown = [...new Set(hashes)].map((hash) => hash.slice(0, 16)).join(' ')
  row(
    ran[0]?.runtime ?? name,
    build,
    told,
    toured,
    commanded,
    pulled,
    `${right}/${3 * cells.length}`,
    shown,
    texts === cells.length ? 'same' : 'OTHER',
  )
}

/**
 * The SHA-256 of the demo model as it comes from a registry, through a token and a redirect; or why it does not come.
 */
async function pull(scripts, folder, env) {
  const printed = await run(`${scripts.pull ?? `${scripts.mixtral} pull`} ${registry.host}/demo/demo`, folder, env)
  return existsSync(printed) ? createHash('sha256').update(readFileSync(printed)).digest('hex') : printed
}

/** Runs a line of shell, which ends in minutes or not at all; what it printed, or why it did not. */
async function run(line, cwd, env) {
  try {
    return (await promisify(execFile)('sh', ['-c', `exec ${line}`], { cwd, env, timeout: 1_200_000 })).stdout.trim()
  } catch (error) {
    return `${error.killed ? 'did not end' : error.message}\n${error.stdout}`.trim()
  }
}

/** Notes a difference; what the table says of it. */
function compare(what, wanted, found) {
  if (found === wanted) return 'ok'
  faults.push(`${what}\n  expected ${JSON.stringify(wanted)}\n  found    ${JSON.stringify(found)}`)
  return 'FAILS'
}

function row(...columns) {
  console.log([14, 14, 9, 7, 9, 7, 7, 18, 5].map((width, i) => columns[i].padEnd(width)).join(''))
}
