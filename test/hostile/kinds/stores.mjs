// Files of stores and of this program: logs of partial downloads, records of files, folders with odd names, saved
// sessions, stored logits, importance matrices. Each is written damaged, and read as the commands read it.

import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../../../dist/base/errors.js'
import { LogitsFileWriter } from '../../../dist/evaluation/perplexity/logitsFile.js'
import { LogitsFile, readImatrix, writeImatrix } from '../../../dist/index.js'
import { listLocalModels } from '../../../dist/registry/stores/localModels.js'
import { OwnStore } from '../../../dist/registry/stores/ownStore.js'
import { listPartials, PartialFile } from '../../../dist/registry/transfer/partialFile.js'
import { readSession, writeSession } from '../../../dist/runtime/engine/savedSession.js'
import { mutateBytes, mutateJsonText, mutateText } from '../mutations.mjs'

const utf8 = new TextEncoder()
export const log = '{"bytes":4000,"identity":"abc","model":"127.0.0.1:80/a/b:c"}\n0 1000\n1000 500\n3000 999\n'

export const logs = {
  name: 'logs',
  share: 1,
  make: (random) => utf8.encode(mutateText(random, log, ['0 ', ' 4000\n', '\n', '999999999999999 1\n', '0 999999999999999\n', '{}'])),
  async use(bytes, folder) {
    const file = path.join(folder, 'a.gguf')
    await fs.writeFile(`${file}.partial.log`, bytes)
    await fs.writeFile(`${file}.partial`, new Uint8Array(2000))
    await listPartials(folder)
    await new OwnStore(folder).unfinished()
    const partial = await PartialFile.open(file, { bytes: 4000, identity: 'abc', model: 'm' })
    try {
      const { loaded, prefix } = partial
      if (loaded > 2000 || prefix > 2000) throw new Error(`${loaded} bytes of 2000 count as loaded, ${prefix} as prefix`)
      for (const { start, end } of partial.gaps(300)) await partial.write(new Uint8Array(end - start), start)
      if (partial.loaded !== 4000) throw new Error(`${partial.loaded} bytes after all were written`)
    } finally {
      await partial.discard()
    }
  },
}

export const record = { address: 'http://127.0.0.1/a.gguf', bytes: 5, sha256: 'a'.repeat(64), version: 'x' }

export const records = {
  name: 'records',
  share: 1,
  make: (random) => utf8.encode(mutateJsonText(random, record)),
  async use(bytes, folder) {
    const own = path.join(folder, 'url', '127.0.0.1', 'x')
    await fs.mkdir(own, { recursive: true })
    await fs.writeFile(path.join(own, 'a.gguf.source.json'), bytes)
    await fs.writeFile(path.join(own, 'a.gguf'), 'GGUF!')
    const none = path.join(folder, 'none')
    await listLocalModels({ own: folder, ollama: [none], huggingFace: none })
    await new OwnStore(folder).record(path.join(own, 'a.gguf'))
  },
}

const binding = {
  ...{ model: 'm', numerics: 1, kvFormat: 'f16', page: 32, pageBytes: 256, layers: 1, kvHeads: 1, headDim: 4, ropeDim: 4 },
  ...{ ropeTheta: 1e6, slidingWindow: 0 },
}
const base = {}
async function original(name, folder, write) {
  if (base[name]) return base[name]
  const file = path.join(folder, `original-${name}`)
  await write(file)
  base[name] = new Uint8Array(await fs.readFile(file))
  return base[name]
}

/** Damage behind a right hash, too: whoever writes such a file can compute it. The first byte says whether. */
export const sessions = {
  name: 'sessions',
  share: 1,
  async make(random, folder) {
    const session = { ids: Array.from({ length: 70 }, (_, i) => i), metadata: { name: 'x' }, pages: 2 }
    const bytes = await original('session', folder, (file) => writeSession(file, binding, session, (n) => new Uint8Array(256).fill(n)))
    const rehash = random.chance(0.5) ? 1 : 0
    return Buffer.concat([Uint8Array.of(rehash), mutateBytes(random, rehash ? bytes.subarray(0, -32) : bytes)])
  },
  async use(bytes, folder) {
    const body = bytes.subarray(1)
    const hash = bytes[0] ? createHash('sha256').update(body).digest() : new Uint8Array(0)
    const file = path.join(folder, 'session')
    await fs.writeFile(file, Buffer.concat([body, hash]))
    const fits = (tokens) => {
      if (tokens > 4096) throw new MixtralError('CONTEXT', `${tokens} tokens, the context has room for 4096`)
    }
    await readSession(file, binding, fits, async ({ pages }, page) => {
      for (let n = 0; n < pages; n++) if ((await page()).length !== 256) throw new Error('a page of another length')
    })
  },
}

export const storedLogits = {
  name: 'stored-logits',
  share: 1,
  async make(random, folder) {
    const bytes = await original('logits', folder, async (file) => {
      const windows = { contextLength: 8, count: 2, tokens: Array.from({ length: 16 }, (_, i) => i % 5) }
      const writer = await LogitsFileWriter.create(file, 5, windows)
      for (let window = 0; window < 2; window++) await writer.writeWindow()
      await writer.close()
    })
    return mutateBytes(random, bytes)
  },
  async use(bytes, folder) {
    const file = path.join(folder, 'logits')
    await fs.writeFile(file, bytes)
    const stored = await LogitsFile.open(file)
    try {
      const out = new Float64Array(stored.vocabulary)
      for (let n = 0; n < Math.min(stored.windows.count, 4); n++) {
        const read = await stored.window(n)
        read(0, out)
        if (out.some((value) => !Number.isFinite(value))) throw new Error('a log-probability that is not finite')
      }
    } finally {
      await stored.close()
    }
  },
}

const entry = { columns: 4, sums: new Float64Array(8).fill(2), counts: new Float64Array(2).fill(3) }
const imatrix = { entries: new Map([['blk.0.ffn_up_exps.weight', entry]]), datasets: ['d'], windows: 2, contextLength: 16 }

/** The first byte says of which form it is. */
export const importances = {
  name: 'importances',
  share: 3,
  async make(random, folder) {
    const form = random.below(2)
    const name = ['imatrix.gguf', 'imatrix.dat'][form]
    const bytes = await original(name, folder, (file) => writeImatrix(file, imatrix))
    return Buffer.concat([Uint8Array.of(form), mutateBytes(random, bytes)])
  },
  async use(bytes, folder) {
    const file = path.join(folder, 'imatrix')
    await fs.writeFile(file, bytes.subarray(1))
    const { entries } = await readImatrix(file)
    for (const { sums } of entries.values()) if (sums.some((sum) => !(sum >= 0 && sum < Infinity))) throw new Error('a sum that is none')
  },
}
