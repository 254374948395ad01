// Checkpoints to convert: one file of the folder is damaged, its configuration, its index, the header of its
// safetensors, its tokenizer; the conversion is planned, nothing is written.

import fs from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Checkpoint } from '../../../dist/authoring/convert/checkpoint.js'
import { planConversion } from '../../../dist/authoring/convert/conversionPlan.js'
import { readSentencePieceModel } from '../../../dist/authoring/convert/sentencePieceModel.js'
import { readSafetensors } from '../../../dist/format/tensors/safetensors.js'
import { mutateBytes, mutateJson, mutateJsonText } from '../mutations.mjs'
import { checkpointFiles, memorySource, safetensors } from '../tinyModel.mjs'

const files = checkpointFiles()
const names = Object.keys(files)
const parsed = Object.fromEntries(
  names.filter((name) => name.endsWith('.json')).map((name) => [name, JSON.parse(new TextDecoder().decode(files[name]))]),
)
const small = ['config.json', 'model.safetensors.index.json', 'tokenizer_config.json', 'generation_config.json']
const utf8 = new TextEncoder()

/** JSON files as they should be, with the first byte of an input that has one. */
export const jsonBases = (choice) => choice.map((file) => [parsed[file], names.indexOf(file)])

/** One of the JSON files is damaged; the first byte says which. */
const jsonOf = (name, share, choice) => ({
  name,
  share,
  make(random) {
    const file = random.pick(choice)
    const text = mutateJsonText(random, parsed[file])
    return Buffer.concat([Uint8Array.of(names.indexOf(file)), utf8.encode(text)])
  },
  async use(bytes, folder) {
    const file = names[bytes[0] % names.length]
    await prepare(folder)
    await fs.writeFile(path.join(folder, 'checkpoint', file), bytes.subarray(1))
    try {
      const checkpoint = await Checkpoint.open(path.join(folder, 'checkpoint'))
      try {
        await planConversion(checkpoint, undefined)
      } finally {
        await checkpoint.close()
      }
    } finally {
      await fs.writeFile(path.join(folder, 'checkpoint', file), files[file])
    }
  },
})

const prepared = new Set()
async function prepare(folder) {
  if (prepared.has(folder)) return
  await fs.mkdir(path.join(folder, 'checkpoint'), { recursive: true })
  for (const [name, bytes] of Object.entries(files)) await fs.writeFile(path.join(folder, 'checkpoint', name), bytes)
  prepared.add(folder)
}

export const configurations = jsonOf('configurations', 1, small)
export const tokenizerFiles = jsonOf('tokenizer-json', 1, [
  'tokenizer.json',
  'tokenizer.json',
  'added_tokens.json',
  'special_tokens_map.json',
])

const shapes = [
  ['a', [4, 3]],
  ['b', [5]],
]
const whole = safetensors(shapes)
const header = JSON.parse(new TextDecoder().decode(whole.subarray(8, 8 + Number(new DataView(whole.buffer).getBigUint64(0, true)))))

export const safetensorsFiles = {
  name: 'safetensors',
  share: 20,
  make: (random) => (random.chance(0.5) ? mutateBytes(random, whole) : safetensors(shapes, mutateJson(random, header))),
  use: (bytes) => readSafetensors(memorySource(bytes, 'a.safetensors')),
}

const sentencePiece = await fs.readFile(fileURLToPath(new URL('../../golden/demo/tokenizer.model', import.meta.url)))
const piecesOnly = sentencePiece.subarray(0, 2000) // of a length that fits its few pieces; the rest says how text is prepared
export const tail = sentencePiece.subarray(-300)

export const sentencePieceModels = {
  name: 'sentencepiece',
  share: 12,
  make: (random) => mutateBytes(random, random.chance(0.5) ? Buffer.concat([piecesOnly, tail]) : tail),
  use: async (bytes) => readSentencePieceModel(bytes, 'tokenizer.model'),
}
