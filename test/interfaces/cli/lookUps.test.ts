// However a command uses a model, its name is looked up once and its header is read once: counted in the reads of the
// manifest, which every look-up of an Ollama name makes, and in the times that the GGUF is opened.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { digestOf, ollamaModel } from '../../registry/ollamaModel.js'
import { mixtral } from './mixtral.js'

const root = mkdtempSync(join(tmpdir(), 'mixtral-look-ups-'))
const store = join(root, 'ollama')
const manifest = join(store, 'manifests/registry.ollama.ai/library/mixtral/8x7b')
const weights = readFileSync(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
const gguf = join(store, 'blobs', digestOf(weights).replace(':', '-'))
const counts = join(root, 'counts.json')

beforeAll(() => {
  const model = ollamaModel({ params: { num_predict: 1 } }, weights)
  for (const folder of [dirname(manifest), dirname(gguf)]) mkdirSync(folder, { recursive: true })
  writeFileSync(manifest, model.manifest)
  for (const [digest, blob] of model.blobs) writeFileSync(join(store, 'blobs', digest.replace(':', '-')), blob)
})
afterAll(() => rmSync(root, { recursive: true }))

const name = 'mixtral:8x7b'

test.each<[command: string, args: string[]]>([
  ['run', [name, 'Once']],
  ['inspect', [name]],
  ['show', [name]],
  ['tokenize', [name, 'Once']],
  ['trace', [name, '--tokens', '1', '--tensors', 'l_out-0', '--out', join(root, 'trace')]],
  ['trace', [name, '--tokens', '1', '--tensors', 'l_out-0', '--out', join(root, 'reference'), '--reference']],
  ['quantize', [name, join(root, 'copy.gguf'), 'copy']],
])('%s %j', async (command, args) => {
  const { code, stderr } = await mixtral([command, ...args], {
    env: { MIXTRAL_HOME: join(root, 'own'), OLLAMA_MODELS: store, HF_HUB_CACHE: join(root, 'no-hub'), COUNT_FILE_USE: counts },
    nodeFlags: ['--import', new URL('countFileUse.mjs', import.meta.url).href],
  })
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  const used = JSON.parse(readFileSync(counts, 'utf8'))
  expect({ lookUps: used[`readFile ${manifest}`], headers: used[`open ${gguf}`] }).toEqual({ lookUps: 1, headers: 1 })
})
