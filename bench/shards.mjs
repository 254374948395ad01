// node bench/shards.mjs [FOLDER]
// An 8x22B-shaped model of two layers with a vocabulary of 32768: written (3 GB), cut into five shards, merged again,
// loaded and run from each. Ends with 1 unless the merged file has the bytes of the first and the logits are the same,
// bit for bit. Takes some minutes, 4 GB of memory and 10 GB of disk, which it gives back.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { quantizeModel } from '../dist/index.js'
import { readCommandLine } from './commandLine.mjs'
import { shapes, writeSyntheticModel } from './syntheticModel.mjs'

const [parent = tmpdir()] = readCommandLine(import.meta.url, {}, [0, 1]).positionals
const folder = mkdtempSync(join(parent, 'mixtral-shards-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

const started = performance.now()
const say = (text) => process.stdout.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${text}\n`)

async function fileHash(path) {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 22 })) hash.update(piece)
  return hash.digest('hex')
}

/** In a process of its own, so that one model's memory is free before the next comes. */
async function logitsHash(path) {
  const out = join(folder, 'logits.f32')
  const tokens = Array.from({ length: 24 }, (_, i) => (i * 7919 + 1) % 32768).join()
  execFileSync(process.execPath, [
    fileURLToPath(new URL('../dist/interfaces/cli/main.js', import.meta.url)),
    'logits',
    path,
    '--tokens',
    tokens,
    '--out',
    out,
  ])
  const logits = new Float32Array(new Uint8Array(readFileSync(out)).buffer)
  if (logits.length !== 24 * 32768 || !logits.every(Number.isFinite)) throw new Error(`${path}: ${logits.length} logits, not all finite`)
  return fileHash(out)
}

const whole = join(folder, 'whole.gguf')
await writeSyntheticModel(whole, { ...shapes['8x22b'], layers: 2, type: 'Q4_K_M' })
say('written')
const { files } = await quantizeModel(whole, join(folder, 'set.gguf'), 'copy', { shardBytes: 930e6 })
say(`cut into ${files.length} shards: ${files.map(({ bytes }) => `${(bytes / 1e9).toFixed(2)} GB`).join(', ')}`)
const fromWhole = await logitsHash(whole)
say(`logits of the whole file   ${fromWhole.slice(0, 16)}`)
const fromShards = await logitsHash(files.at(-1).path)
say(`logits of the shards       ${fromShards.slice(0, 16)}`)
const merged = join(folder, 'merged.gguf')
await quantizeModel(files[0].path, merged, 'copy')
const [first, second] = [await fileHash(whole), await fileHash(merged)]
say(`file ${first.slice(0, 16)}, merged again ${second.slice(0, 16)}`)
const right = files.length === 5 && fromWhole === fromShards && first === second
say(right ? 'the same' : 'NOT the same')
process.exitCode = right ? 0 : 1
