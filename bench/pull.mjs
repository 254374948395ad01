// node bench/pull.mjs [--gigabytes N] [--rounds N] [--folder DIR]
// A pull from loopback, hash and all, beside curl to a file followed by sha256sum: the same server, the same folder, in
// turn. Prints medians and their ratio, and exits with 1 if a file is wrong. The server answers out of memory, in a
// process of its own.

import { execFileSync, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readCommandLine } from './commandLine.mjs'

const text = { type: 'string' }
const { values, positionals } = readCommandLine(import.meta.url, { gigabytes: text, rounds: text, folder: text }, [0, 1])
const bytes = Number(values.gigabytes ?? 2) * 1e9
const rounds = Number(values.rounds ?? 5)

if (positionals[0] === 'serve')
  await serve() // in a process of its own
else await compare()

/**
 * Serves one file at any path, ranges too, as an Ollama model of any name: its bytes are a random block again and
 * again.
 */
async function serve() {
  const block = randomBytes(2 ** 24)
  const hash = createHash('sha256')
  for (let at = 0; at < bytes; at += block.length) hash.update(block.subarray(0, Math.min(block.length, bytes - at)))
  const digest = `sha256:${hash.digest('hex')}`
  const small = `sha256:${createHash('sha256').digest('hex')}`
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: small, size: 0 },
    layers: [{ mediaType: 'application/vnd.ollama.image.model', digest, size: bytes }],
  })
  const server = createServer((request, response) => {
    if (request.url.includes('/manifests/')) return response.end(manifest)
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [undefined, 0, bytes - 1]
    const end = Number(to) + 1
    let at = Number(from)
    const range = request.headers.range && { 'content-range': `bytes ${from}-${to}/${bytes}` }
    response.writeHead(range ? 206 : 200, { 'content-length': end - at, ...range })
    const more = () => {
      while (at < end) {
        const inBlock = at % block.length
        const chunk = block.subarray(inBlock, Math.min(block.length, inBlock + 2 ** 20, inBlock + end - at))
        at += chunk.length
        if (!response.write(chunk)) return response.once('drain', more)
      }
      response.end()
    }
    more()
  })
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port, digest }))
}

async function compare() {
  const folder = mkdtempSync(join(values.folder ?? tmpdir(), 'mixtral-bench-pull-'))
  const server = fork(fileURLToPath(import.meta.url), ['serve', ...process.argv.slice(2)])
  try {
    const { port, digest } = await new Promise((resolve) => server.once('message', resolve))
    const registry = new URL('../dist/registry/registries.js', import.meta.url).href
    const script = `import { OllamaRegistry } from '${registry}'; console.log(await OllamaRegistry.pull('127.0.0.1:${port}/bench/file'))`
    const env = { ...process.env, MIXTRAL_HOME: join(folder, 'store'), OLLAMA_MODELS: join(folder, 'none') }
    const file = join(folder, 'file')
    const ways = {
      // the name of the file says that its hash was right
      pull: () =>
        execFileSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' }).trim().replace(/^.*-/, 'sha256:'),
      'curl, sha256sum': () => {
        execFileSync('curl', ['-sS', '-o', file, `http://127.0.0.1:${port}/v2/bench/file/blobs/${digest}`])
        return `sha256:${execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64)}`
      },
    }
    const seconds = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const [name, run] of Object.entries(ways)) {
        const start = performance.now()
        if (run() !== digest) throw new Error(`${name}: wrong bytes`)
        seconds[name].push((performance.now() - start) / 1000)
        rmSync(env.MIXTRAL_HOME, { recursive: true, force: true })
        rmSync(file, { force: true })
      }
    }
    const medians = Object.entries(seconds).map(([name, all]) => {
      const median = all.sort((a, b) => a - b)[Math.floor(all.length / 2)]
      console.log(
        `${name.padEnd(16)} ${median.toFixed(2)} s  ${(bytes / 1e6 / median).toFixed(0)} MB/s  (${all.map((each) => each.toFixed(2)).join(' ')})`,
      )
      return median
    })
    console.log(`throughput of pull: ${(medians[1] / medians[0]).toFixed(2)} x that of curl and sha256sum`)
  } finally {
    server.kill()
    rmSync(folder, { recursive: true })
  }
}
