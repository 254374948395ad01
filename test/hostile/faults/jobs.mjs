// The work that faults are injected into: pull, quantize, convert, load, stream, save and restore, and what is written
// beside. Each job has inputs, and outputs that are right or absent whatever happens. Its result is a text, or the
// files that it says it has made, the same each time.

import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import { createServer } from 'node:http'
import path from 'node:path'
import { LogitsFileWriter } from '../../../dist/evaluation/perplexity/logitsFile.js'
import { shardPlans } from '../../../dist/format/gguf/shards.js'
import { convertCheckpoint, MixtralModel, OllamaRegistry, quantizeModel, readImatrix, writeImatrix } from '../../../dist/index.js'
import { parseModelName } from '../../../dist/registry/names/modelName.js'
import { obtainModel } from '../../../dist/registry/obtain.js'
import { OwnStore } from '../../../dist/registry/stores/ownStore.js'
import { checkpointFiles, ggufBytes, metadataOf, tensorsOf, tinyGguf } from '../tinyModel.mjs'

export const hashOf = (bytes) => createHash('sha256').update(bytes).digest('hex')

const model = ggufBytes({ metadata: metadataOf({ layers: 2, experts: 4, used: 2 }), tensors: tensorsOf({ layers: 2, experts: 4 }) })
const small = tinyGguf()
const checkpoint = checkpointFiles()
const template = new TextEncoder().encode('[INST] {{ .Prompt }} [/INST]')
const blobs = new Map([small, template].map((bytes) => [`sha256:${hashOf(bytes)}`, bytes]))
const layer = (kind, bytes) => ({
  mediaType: `application/vnd.ollama.image.${kind}`,
  digest: `sha256:${hashOf(bytes)}`,
  size: bytes.length,
})
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
  config: layer('license', template),
  layers: [layer('model', small), layer('template', template)],
})
const listed = (rfilename, bytes) => ({ rfilename, size: bytes.length, lfs: { sha256: hashOf(bytes), size: bytes.length } })
const shards = shardPlans({ metadata: metadataOf(), tensors: tensorsOf() }, 40_000).map((plan) => ggufBytes(plan))
const shardName = (n) => `s-0000${n + 1}-of-0000${shards.length}.gguf`
/** The repositories of the hub. */
const lists = {
  repo: [listed('m.gguf', small)],
  shards: shards.map((bytes, n) => listed(shardName(n), bytes)),
}

/** A registry, a hub and a plain server in one, on a free port of this machine. */
export async function startServer() {
  const server = createServer((request, response) => {
    const { url, headers } = request
    if (url.includes('/manifests/')) return response.end(manifest)
    const [, repository] = /^\/api\/models\/owner\/(\w+)\//.exec(url) ?? []
    if (repository) return response.end(JSON.stringify({ sha: 'a'.repeat(40), siblings: lists[repository] }))
    const [, shard] = /\/s-(\d+)-of-/.exec(url) ?? []
    const bytes = url.includes('/blobs/') ? blobs.get(url.split('/').at(-1)) : shard ? shards[Number(shard) - 1] : small
    if (!bytes) return response.writeHead(404).end()
    const [, from = 0, to = bytes.length - 1] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
    const [start, end] = [Number(from), Math.min(Number(to), bytes.length - 1)]
    response.writeHead(headers.range ? 206 : 200, {
      'content-length': end + 1 - start,
      ...(headers.range && { 'content-range': `bytes ${start}-${end}/${bytes.length}` }),
      ...(!url.includes('/bare/') && { etag: `"${bytes.length}"` }),
    })
    response.end(bytes.subarray(start, end + 1))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

const write = (folder, entries) => Promise.all(entries.map(([name, bytes]) => fs.writeFile(path.join(folder, name), bytes)))
const store = (folder) => path.join(folder, 'store')

/** Sets the store of this process to the folder, and its hub to the server. */
function useStore(folder) {
  process.env.MIXTRAL_HOME = store(folder)
  process.env.HF_ENDPOINT = process.env.HOSTILE_SERVER
  process.env.OLLAMA_MODELS = path.join(folder, 'none')
  process.env.HF_HUB_CACHE = path.join(folder, 'none')
}

const pulling = (name, nameOf) => ({
  name,
  partials: /\.partial(\.log)?$|~lock\.|~draft\./,
  prepare: async () => {},
  async run(folder) {
    useStore(folder)
    const { path: file } = await obtainModel(parseModelName(nameOf(new URL(process.env.HOSTILE_SERVER).host)), { update: true })
    return { files: [file] }
  },
})

const ollamaName = () => `${new URL(process.env.HOSTILE_SERVER).host}/user/model:latest`

async function pullOnce(folder) {
  useStore(folder)
  await OllamaRegistry.pull(ollamaName())
}

async function withModel(folder, options, use) {
  const opened = await MixtralModel.load(path.join(folder, 'model.gguf'), { threads: 1, contextLength: 64, ...options })
  try {
    return await use(opened)
  } finally {
    await opened.close()
  }
}
const tokens = [1, 70, 80, 90, 260, 261, 262, 263, ...Array.from({ length: 30 }, (_, i) => 100 + i)]
const logitsOf = async (opened) => hashOf(new Uint8Array((await opened.evaluate(tokens)).buffer.slice(0)))

let least
/** The least memory with which the model loads. */
async function leastRam(folder) {
  least ??= await MixtralModel.load(path.join(folder, 'model.gguf'), { threads: 1, contextLength: 64, ram: 1 }).then(
    () => undefined,
    (error) => {
      const [, bytes] = /\((\d+) bytes\)/.exec(error.message) ?? []
      if (bytes === undefined) throw error // the fault was here
      return Number(bytes)
    },
  )
  return least
}

const entry = { columns: 4, sums: new Float64Array(8).fill(2), counts: new Float64Array(2).fill(3) }
const imatrix = { entries: new Map([['blk.0.ffn_up_exps.weight', entry]]), datasets: ['d'], windows: 2, contextLength: 16 }

/** The session that is restored. */
let saved

export const jobs = [
  pulling('pull-ollama', (host) => `${host}/user/model:latest`),
  pulling('pull-hub', () => 'hf:owner/repo/m.gguf'),
  pulling('pull-shards', () => `hf:owner/shards/${shardName(0)}`),
  pulling('pull-address', (host) => `http://${host}/a/m.gguf`),
  pulling('pull-bare', (host) => `http://${host}/bare/m.gguf`),
  {
    name: 'remove',
    prepare: pullOnce,
    /** What a removal that was stopped has left is removed by the next one; of what is gone, nothing is left. */
    async again(folder) {
      useStore(folder)
      const own = new OwnStore(store(folder))
      if (!(await own.find(parseModelName(ollamaName()))) && (await own.unfinished()).length === 0) await pullOnce(folder)
    },
    partials: /blobs|manifests|~lock\./,
    async run(folder) {
      useStore(folder)
      await new OwnStore(store(folder)).remove(parseModelName(ollamaName()))
      return 'removed'
    },
  },
  {
    name: 'quantize',
    prepare: (folder) => write(folder, [['model.gguf', model]]),
    async run(folder) {
      await quantizeModel(path.join(folder, 'model.gguf'), path.join(folder, 'out.gguf'), 'Q8_0', { threads: 1 })
      return { files: [path.join(folder, 'out.gguf')] }
    },
  },
  {
    name: 'quantize-shards',
    prepare: (folder) => write(folder, [['model.gguf', model]]),
    async run(folder) {
      const { files } = await quantizeModel(path.join(folder, 'model.gguf'), path.join(folder, 'out.gguf'), 'copy', {
        threads: 1,
        shardBytes: 60_000,
      })
      return { files: files.map((file) => file.path) }
    },
  },
  {
    name: 'convert',
    prepare: (folder) => write(folder, Object.entries(checkpoint)),
    async run(folder) {
      await convertCheckpoint(folder, path.join(folder, 'out.gguf'))
      return { files: [path.join(folder, 'out.gguf')] }
    },
  },
  {
    name: 'load',
    prepare: (folder) => write(folder, [['model.gguf', model]]),
    run: (folder) => withModel(folder, {}, logitsOf),
  },
  {
    name: 'stream',
    prepare: (folder) => write(folder, [['model.gguf', model]]),
    run: async (folder) => withModel(folder, { ram: await leastRam(folder) }, logitsOf),
  },
  {
    name: 'save',
    prepare: (folder) => write(folder, [['model.gguf', model]]),
    run: (folder) =>
      withModel(folder, {}, async (opened) => {
        const session = opened.session({ ids: tokens })
        await session.save(path.join(folder, 'out.session'), { metadata: { a: 1 } })
        return { files: [path.join(folder, 'out.session')] }
      }),
  },
  {
    name: 'restore',
    async prepare(folder) {
      await write(folder, [['model.gguf', model]])
      const file = path.join(folder, 'a.session')
      if (saved) return fs.writeFile(file, saved)
      await withModel(folder, {}, (opened) => opened.session({ ids: tokens }).save(file))
      saved = await fs.readFile(file) // a model is loaded for it once, and not with each run
    },
    run: (folder) =>
      withModel(folder, {}, async (opened) => {
        const { session } = await opened.restore(path.join(folder, 'a.session'))
        return hashOf(new Uint8Array((await opened.evaluate([...session.ids, 70])).buffer.slice(0)))
      }),
  },
  {
    name: 'imatrix',
    prepare: async () => {},
    async run(folder) {
      await writeImatrix(path.join(folder, 'out.imatrix'), imatrix)
      return String((await readImatrix(path.join(folder, 'out.imatrix'))).entries.size)
    },
  },
  {
    name: 'logits',
    prepare: async () => {},
    async run(folder) {
      const file = path.join(folder, 'out.kld')
      const writer = await LogitsFileWriter.create(file, 5, { contextLength: 8, count: 2, tokens: new Array(16).fill(1) })
      try {
        for (let window = 0; window < 2; window++) await writer.writeWindow()
        await writer.close()
      } finally {
        await writer.discard()
      }
      return { files: [file] }
    },
  },
]
