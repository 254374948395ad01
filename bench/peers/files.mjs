// The model files to measure with: synthetic ones, written by ../synth.mjs into ../files and kept, the demo model, and
// any path.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, statfsSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openGguf } from '../../dist/format/gguf/openGguf.js'
import { activeBytes } from './activeBytes.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

const synthetic = {
  '4-layer-Q4_K_M': { layers: 4, type: 'Q4_K_M', gigabytes: 3.72 },
  '2-layer-Q4_K_M': { layers: 2, type: 'Q4_K_M', gigabytes: 1.95 },
  '2-layer-Q8_0': { layers: 2, type: 'Q8_0', gigabytes: 3.37 },
  '2-layer-MXFP4_MOE': { layers: 2, type: 'MXFP4_MOE', gigabytes: 1.87 },
  '2-layer-IQ3_XXS': { layers: 2, type: 'IQ3_XXS', gigabytes: 1.36 },
  '2-layer-IQ2_XXS': { layers: 2, type: 'IQ2_XXS', gigabytes: 0.93 },
}

/** What `--files` takes besides paths. */
export const fileNames = [...Object.keys(synthetic), 'demo']
/** What is measured without it. */
export const usualFiles = ['4-layer-Q4_K_M', '2-layer-Q4_K_M', '2-layer-Q8_0', 'demo']

/** The file behind a name, written first if it is not there yet; `name` may also be a path. */
export async function openFile(name, log) {
  const path = findPath(name, log)
  const { metadata, tensors, files } = await openGguf(path)
  return {
    name: fileNames.includes(name) ? name : basename(name),
    path,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    contextLength: metadata.get('llama.context_length'),
    vocabulary: metadata.get('tokenizer.ggml.tokens').length,
    ...activeBytes(metadata, tensors),
  }
}

function findPath(name, log) {
  if (name === 'demo') return here('../../models/tiny-mixtral.Q4_K_M.gguf')
  if (!Object.hasOwn(synthetic, name)) {
    if (existsSync(name)) return name
    throw new Error(`--files: found ${name}, expected ${fileNames.join(', ')} or the path of a GGUF`)
  }
  const path = here(`../files/${name}.gguf`)
  if (!existsSync(path)) write(path, synthetic[name], log)
  return path
}

function write(path, { layers, type, gigabytes }, log) {
  const directory = here('../files')
  mkdirSync(directory, { recursive: true })
  const { bavail, bsize } = statfsSync(directory)
  const free = (bavail * bsize) / 1e9
  if (free < gigabytes + 1) {
    throw new Error(`${path} takes ${gigabytes} GB and 1 GB should stay free, but the disk has ${free.toFixed(1)} GB`)
  }
  log(`writing ${basename(path)}, ${gigabytes} GB`)
  const { status } = spawnSync(process.execPath, [here('../synth.mjs'), '--layers', String(layers), '--type', type, path], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error(`${path} could not be written`)
}
