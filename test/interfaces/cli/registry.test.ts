// The commands that work with names: pull, list, rm, show, and inspect and run of models that are not here, against a
// registry on loopback.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { digestOf, ollamaModel } from '../../registry/ollamaModel.js'
import { useRegistry } from '../../registry/useRegistry.js'
import { largeModelHeader } from './largeModel.js'
import { mixtral } from './mixtral.js'

const { server, root, newFolder } = useRegistry()
const demo = readFileSync(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const layers = {
  template: '[INST] {{ .Prompt }} [/INST]',
  params: { temperature: 0, num_predict: 3, num_gpu: 1 },
  license: 'Be kind.\u001b[2J',
}
const model = ollamaModel(layers, demo)

let env: Record<string, string>
let name: string
beforeEach(() => {
  env = {
    MIXTRAL_HOME: newFolder(),
    OLLAMA_MODELS: join(root, 'no-ollama'),
    HF_HUB_CACHE: join(root, 'no-hub'),
    HF_ENDPOINT: `http://${server.host}`,
  }
  name = server.addOllama(model)
})

/** Runs a command, which must succeed. */
async function done(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await mixtral(args, { env })
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  return { stdout, stderr }
}

test('pull, list, show and rm', async () => {
  const pulled = await done('pull', name)
  const path = pulled.stdout.trim()
  expect(readFileSync(path).equals(demo)).toBe(true)
  expect(pulled.stderr).toMatch(
    /^127\.0\.0\.1:\d+\/user\/mixtral:latest: 7\.3 MB to download; it needs [\d.]+ MB of memory, which fits in the .+ GB that this machine can spare\n$/,
  )
  expect((await done('list')).stdout).toBe(`${name}  7.3 MB  mixtral\n`)

  const { stdout } = await done('show', name)
  expect(stdout).toContain(`${name}: 7.3 MB, ${path}\n`)
  expect(stdout).toContain('template\n  [INST] {{ .Prompt }} [/INST]\n')
  expect(stdout).toMatch(/ {2}num_gpu +1 +not used here\n/)
  expect(stdout).toContain('license\n  Be kind.\\u001b[2J\n')

  expect((await done('rm', name)).stdout).toBe(`${name}: 7.3 MB freed\n`)
  expect(existsSync(path)).toBe(false)
  expect(await done('list')).toEqual({ stdout: '', stderr: 'no models yet: mixtral pull NAME fetches one\n' })
})

test('--json prints one object and nothing else', async () => {
  const shown = await done('show', name, '--json')
  expect(JSON.parse(shown.stdout)).toMatchObject({ name, template: layers.template, parameters: layers.params, licenses: [layers.license] })
  const pulled = await done('pull', name, '--json')
  expect(pulled.stderr).toBe('')
  const { path, ...others } = JSON.parse(pulled.stdout)
  expect(others).toEqual({ name, bytes: demo.length, store: 'mixtral', verified: true })
  const models = [{ name, bytes: demo.length, store: 'mixtral', path }]
  expect(JSON.parse((await done('list', '--json')).stdout)).toEqual({ models, unfinished: [] })
  const removed = JSON.parse((await done('rm', name, '--json')).stdout)
  expect(removed).toEqual({ name, freed_bytes: [...model.blobs.values()].reduce((sum, { length }) => sum + length, 0) })
})

test('run downloads a model that is not here, and its parameters count where no flag says otherwise', async () => {
  const first = await done('run', name, 'Once upon a time')
  expect(first.stdout).toBe(', there was\n')
  expect(first.stderr).toContain('7.3 MB to download')
  server.seen.length = 0
  const again = await done('run', name, 'Once upon a time', '-n', '1')
  expect(again.stdout).toBe(',\n')
  expect(server.seen).toEqual([])
})

test('serve says that it downloads a model that is not here, and how far it is; a signal before it serves ends it', async () => {
  server.settings.trickle = 4096
  const stopping = await mixtral(['serve', name, '--port', '0'], {
    env,
    atStart: function kill(child) {
      if (server.sent < 1e6) setTimeout(kill, 5, child)
      else child.kill('SIGTERM')
    },
  })
  expect(stopping.code).toBe(143)
  expect(stopping.stderr).toContain('7.3 MB to download')
  expect(stopping.stderr).toContain(`stopped: \`mixtral pull ${name}\` resumes`)
  delete server.settings.trickle
  const { code, stderr, stdout } = await mixtral(['serve', name, '--port', '0'], {
    env,
    atStart: (child) => {
      let said = ''
      child.stderr.on('data', (text) => {
        said += text
        if (/ at http:\S+: /.test(said) && !child.killed) child.kill('SIGTERM')
      })
    },
  })
  expect([code, stdout]).toEqual([0, ''])
  const [first, found, serving] = stderr.split('\n')
  expect(first).toBe(`${name} is not on this machine: looking for it at its source`)
  expect(found).toMatch(/^\S+: 7\.3 MB to download; it needs [\d.]+ MB of memory/)
  expect(serving).toContain(`${name} at http://127.0.0.1:`)
})

test('Ctrl-C during a pull of which nothing can be kept says so', async () => {
  server.settings.unversioned = true
  server.settings.trickle = 8192
  server.files.set('/m.gguf', demo)
  const interrupt = (child: { kill: (signal: 'SIGINT') => unknown }) => {
    if (server.sent < 3e6) setTimeout(interrupt, 5, child)
    else child.kill('SIGINT')
  }
  const { code, stderr } = await mixtral(['pull', `http://${server.blobHost}/m.gguf`], { env, atStart: interrupt })
  expect(code).toBe(130)
  expect(stderr).toContain('stopped: nothing is kept, since the server tells no version of the file\n')
})

test('Ctrl-C ends a pull with 130, list shows what came, the next pull goes on, and rm deletes it', async () => {
  const stop = () => {
    server.settings.trickle = 8192
    const interrupt = (child: { kill: (signal: 'SIGINT') => unknown }) => {
      if (server.sent < 3e6) setTimeout(interrupt, 5, child)
      else child.kill('SIGINT')
    }
    return mixtral(['pull', name], { env, atStart: interrupt })
  }
  const { code, stderr } = await stop()
  expect(code).toBe(130)
  expect(stderr).toContain(`stopped: \`mixtral pull ${name}\` resumes, \`mixtral rm ${name}\` deletes the partial download\n`)
  const shown = (await done('list')).stdout
  expect(shown).toMatch(/user\/mixtral:latest {2}[\d.]+ MB {2}of 7\.3 MB, unfinished\n$/)
  const [unfinished] = JSON.parse((await done('list', '--json')).stdout).unfinished
  expect(unfinished).toMatchObject({ name, total: demo.length })
  expect(unfinished.bytes).toBeGreaterThan(1e6)

  server.settings.trickle = 2 ** 20
  server.sent = 0
  const path = (await done('pull', name)).stdout.trim()
  expect(readFileSync(path).equals(demo)).toBe(true)
  expect(server.sent).toBeLessThan(demo.length - 1e6)
  expect(JSON.parse((await done('list', '--json')).stdout)).toMatchObject({ models: [{ name }], unfinished: [] })

  await done('rm', name)
  server.sent = 0
  await stop()
  expect((await done('rm', name)).stdout).toMatch(/latest: [\d.]+ MB freed\n$/)
  expect(readdirSync(env.MIXTRAL_HOME!, { recursive: true }).filter((file) => String(file).includes('partial'))).toEqual([])
  expect((await mixtral(['rm', name], { env })).stderr).toContain('on this machine')
})

test('rm suggests models that it could delete, and no others', async () => {
  expect((await mixtral(['rm', 'mixtral:8x7'], { env })).stderr).toBe(
    'mixtral: no model "mixtral:8x7" on this machine, mixtral list shows which there are\n',
  )
  await done('pull', name)
  const { stderr } = await mixtral(['rm', name.replace('latest', 'latst')], { env })
  expect(stderr).toContain(`did you mean ${name}?`)
})

test("a model in Ollama's store runs where it is, and nothing is written there", async () => {
  const theirs = join(root, 'ollama')
  env.OLLAMA_MODELS = theirs
  const files = [...model.blobs].map(([digest, blob]): [string, string | Uint8Array] => [`blobs/${digest}`, blob])
  for (const [file, content] of [...files, ['manifests/registry.ollama.ai/library/mixtral/8x7b', model.manifest] as const]) {
    mkdirSync(dirname(join(theirs, file)), { recursive: true })
    writeFileSync(join(theirs, file), content)
  }
  const snapshot = () =>
    readdirSync(theirs, { recursive: true, encoding: 'utf8' }).map((file) => [file, statSync(join(theirs, file)).mtimeMs])
  const before = snapshot()
  expect((await done('run', 'mixtral:8x7b', 'Once upon a time')).stdout).toBe(', there was\n')
  expect((await done('pull', 'mixtral:8x7b')).stdout).toBe(`${join(theirs, 'blobs', digestOf(demo))}\n`)
  expect((await done('inspect', 'mixtral:8x7b')).stdout).toContain('11.7 million weights')
  expect((await mixtral(['rm', 'mixtral:8x7b'], { env })).stderr).toContain('belongs to Ollama')
  expect(snapshot()).toEqual(before)
  expect(existsSync(env.MIXTRAL_HOME!)).toBe(false)
})

/** A model of 28 GB of which the server has the header only. */
function addLarge(): { large: string; fileBytes: number } {
  const { header, fileBytes } = largeModelHeader()
  const weights = new Uint8Array(header.length + 4 * 2 ** 20)
  weights.set(header)
  const huge = ollamaModel({}, weights)
  const manifest = huge.manifest.replace(`"size":${weights.length}`, `"size":${fileBytes}`)
  server.settings.fault = (_, { path }) => (path.endsWith(digestOf(weights)) ? { total: fileBytes } : undefined)
  return { large: server.addOllama({ ...huge, manifest }, 'user/large'), fileBytes }
}

test('inspect of a model of 28 GB transfers less than 10 MB, and estimates its speed', async () => {
  const { large, fileBytes } = addLarge()
  const { stdout } = await done('inspect', large, '--context', '4096', '--json')
  expect(server.sent).toBeLessThan(10e6)
  const facts = JSON.parse(stdout)
  expect(facts).toMatchObject({ file_bytes: fileBytes, budget_bytes: expect.any(Number), experts: 256 })
  expect(facts.needs.active_bytes_per_token / 1e9).toBeCloseTo(7.9, 1)
  expect(facts.estimated_tokens_per_second).toBeGreaterThan(0)
  expect(Number.isInteger(facts.budget_bytes)).toBe(true)
  expect(facts.fits).toBe(facts.budget_bytes >= facts.needs.memory_bytes)
  expect(facts.fits).toBe(facts.experts_in_memory === 256)
})

test('a model whose experts cannot even be streamed is refused before it is downloaded, with what would fit', async () => {
  const { large } = addLarge()
  const { code, stdout, stderr } = await mixtral(['run', large, 'Hello', '--ram', '1G'], { env })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(
    /^mixtral: .*large:latest cannot run here: [\d.]+ [MG]B of memory, expected at least [\d.]+ GB \(\d+ bytes\): 4 of 256 experts .*; in no quantization would it fit\n$/,
  )
  expect(server.sent).toBeLessThan(10e6)
})

test('a look at a file of 28 GB at an address, or of a hub, reads its header only', async () => {
  const { header, fileBytes } = largeModelHeader()
  const file = new Uint8Array(header.length + 4 * 2 ** 20)
  file.set(header)
  const commit = 'c'.repeat(40)
  const siblings = [{ rfilename: 'mix.Q4_K_M.gguf', size: fileBytes, lfs: { sha256: 'a'.repeat(64), size: fileBytes } }]
  server.answers.set('/api/models/owner/repo/revision/v2?blobs=true', JSON.stringify({ sha: commit, siblings }))
  server.files.set(`/owner/repo/resolve/${commit}/mix.Q4_K_M.gguf`, file)
  server.files.set('/mix.gguf', file)
  server.settings.fault = () => ({ total: fileBytes })
  for (const remote of ['hf:owner/repo@v2:Q4_K_M', `http://${server.blobHost}/mix.gguf`]) {
    server.sent = 0
    expect(JSON.parse((await done('show', remote, '--json')).stdout)).toMatchObject({ name: remote, bytes: fileBytes })
    expect(server.sent).toBeLessThan(10e6)
  }
  expect(existsSync(env.MIXTRAL_HOME!)).toBe(false)
})

test('whatever a name or a manifest says: one line, exit code 1, and nothing outside the store is touched', async () => {
  const sandbox = mkdtempSync(join(root, 'sandbox-'))
  const home = join(sandbox, 'home')
  mkdirSync(home)
  const around = { ...env, HOME: home, USERPROFILE: home, TMPDIR: home, XDG_CACHE_HOME: home, MIXTRAL_HOME: join(sandbox, 'store') }
  const outside = '../../../../../../escaped'
  const lie = (user: string, change: (manifest: string) => string) =>
    server.addOllama({ ...model, manifest: change(model.manifest) }, `${user}/mixtral`)
  const digest = digestOf(demo)
  const names = [
    lie('digest', (manifest) => manifest.replace(digest, `sha256:${outside}`)),
    lie('other', (manifest) => manifest.replace(digest, `sha256:${'0'.repeat(64)}`)),
    lie('size', (manifest) => manifest.replace(`"size":${demo.length}`, `"size":${demo.length - 1}`)),
    lie('type', (manifest) => manifest.replace('image.license', 'image.projector')),
    lie('path', (manifest) => manifest.replace('image.license', `image.${outside}`)),
    lie('text', () => '<html>\n'),
    `${server.host}/${outside}`,
    `${server.host}/a/b:${outside}`,
    `hf:owner/repo/${outside}.gguf`,
    `hf:..%2f..%2f/repo:Q4_K_M`,
    `http://${server.blobHost}/${encodeURIComponent(outside)}.gguf`,
    'https://',
    'mixtral:8x7b\n--help',
    `${outside}.gguf`,
  ]
  const run = async (name: string) => ({ name, ...(await mixtral(['pull', name], { env: around, cwd: home })) })
  // four at a time
  for (let n = 0; n < names.length; n += 4) {
    for (const { name, code, stdout, stderr } of await Promise.all(names.slice(n, n + 4).map(run))) {
      expect({ name, code, stdout, stderr }).toEqual({
        name,
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^(.* to download.*\n)?mixtral: .+\n$/),
      })
    }
  }
  expect(readdirSync(home)).toEqual([])
  expect(readdirSync(sandbox)).toEqual(['home']) // not even the store had to be made
  expect(readdirSync(root).filter((entry) => entry.includes('escaped'))).toEqual([])
  expect((await done('list', '--json')).stdout).toBe('{"models":[],"unfinished":[]}\n')
})

test('OLLAMA_HOST is no registry', async () => {
  env.OLLAMA_HOST = '127.0.0.1:1'
  expect((await done('pull', name)).stdout).toContain(env.MIXTRAL_HOME)
})

const failures: [what: string, args: () => string[], says: RegExp][] = [
  ['a bad tag', () => ['pull', 'mixtral:..'], /the tag is "\.\."/],
  ['a path trick', () => ['pull', 'hf:owner/repo/../../x.gguf'], /the file is/],
  ['a path that leads nowhere', () => ['pull', './none.gguf'], /no file ".\/none\.gguf"/],
  ['a model that the registry has not', () => ['pull', `${server.host}/user/none`], /has no model/],
  ['a model that is not here', () => ['tokenize', 'mixtral:8x7', 'a'], /did you mean mixtral:8x7b/],
  ['the deletion of a model that is not here', () => ['rm', 'mixtral:8x7b'], /no model "mixtral:8x7b" on this machine/],
  ['the deletion of the demo', () => ['rm', 'demo'], /demo comes with this package/],
  ['a repository that does not exist', () => ['inspect', 'hf:owner/none:Q4_K_M'], /hf:owner\/none does not exist/],
]

test.each(failures)('failure in one line: %s', async (_, args, says) => {
  const { code, stdout, stderr } = await mixtral(args(), { env })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^mixtral: .+\n$/)
  expect(stderr).toMatch(says)
})
