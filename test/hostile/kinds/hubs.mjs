// What hubs say: manifests of Ollama and the texts of their layers, lists of files of Hugging Face, and names of
// models. No server is asked: fetch is the answer.

import { didYouMean } from '../../../dist/base/nearNames.js'
import { modelNameText, parseModelName } from '../../../dist/registry/names/modelName.js'
import { findHuggingFaceModel } from '../../../dist/registry/sources/huggingFace.js'
import { checkLayers, readLayers } from '../../../dist/registry/stores/ollamaLayers.js'
import { parseManifest } from '../../../dist/registry/stores/ollamaManifest.js'
import { OwnStore } from '../../../dist/registry/stores/ownStore.js'
import { modelDefaults } from '../../../dist/text/generate/modelDefaults.js'
import { mutateJsonText, mutateText } from '../mutations.mjs'

const utf8 = new TextEncoder()
const decoded = (bytes) => new TextDecoder().decode(bytes)
const digest = (letter) => `sha256:${letter.repeat(64)}`
const layer = (kind, letter, size) => ({ mediaType: `application/vnd.ollama.image.${kind}`, digest: digest(letter), size })
export const manifest = {
  schemaVersion: 2,
  mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
  config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: digest('c'), size: 400 },
  layers: [layer('model', 'a', 5_000_000), layer('template', 'b', 50), layer('params', 'd', 60), layer('license', 'e', 10)],
}
export const layerTexts = {
  params: JSON.stringify({ stop: ['[INST]', '[/INST]'], temperature: 0.5, num_ctx: 2048 }),
  messages: JSON.stringify([{ role: 'user', content: 'Hi' }]),
  template: '[INST] {{ .Prompt }} [/INST]',
}

export const manifests = {
  name: 'manifests',
  share: 20,
  make: (random) => utf8.encode(mutateJsonText(random, manifest)),
  use: async (bytes) => parseManifest(decoded(bytes), 'test'),
}

/** The first byte says of which kind a layer is. */
export const layers = {
  name: 'layers',
  share: 20,
  make(random) {
    const kind = random.below(2)
    const value = JSON.parse(Object.values(layerTexts)[kind])
    return Buffer.concat([Uint8Array.of(kind), utf8.encode(mutateJsonText(random, value))])
  },
  async use(bytes) {
    const kind = Object.keys(layerTexts)[bytes[0] % 2]
    const blob = { kind, digest: digest('a'), bytes: bytes.length }
    const read = await readLayers([blob], 'test', async () => decoded(bytes.subarray(1)))
    checkLayers(read)
    modelDefaults(read)
  },
}

const sibling = (rfilename, extra = {}) => ({ rfilename, size: 1000, lfs: { sha256: 'a'.repeat(64), size: 1000 }, ...extra })
export const list = {
  sha: 'f'.repeat(40),
  siblings: [
    ...['README.md', 'a-Q4_K_M.gguf', 'a-Q8_0-00001-of-00002.gguf', 'a-Q8_0-00002-of-00002.gguf'].map((name) => sibling(name)),
    ...['Q5_K_M/b-00001-of-00003.gguf', 'Q5_K_M/b-00002-of-00003.gguf', 'Q5_K_M/b-00003-of-00003.gguf'].map((name) => sibling(name)),
    sibling('small.gguf', { lfs: undefined }),
  ],
}
export const tags = ['Q4_K_M', 'Q8_0', 'Q5_K_M', 'b-00001-of-00003.gguf', 'small.gguf', 'a-Q8_0-00001-of-00002.gguf', 'nothing']

/** The first byte says what is asked for. */
export const fileLists = {
  name: 'file-lists',
  share: 4,
  make: (random) => Buffer.concat([Uint8Array.of(random.below(tags.length)), utf8.encode(mutateJsonText(random, list))]),
  async use(bytes, folder) {
    const tag = tags[bytes[0] % tags.length]
    const name = parseModelName(tag.endsWith('.gguf') ? `hf:o/r/${tag}` : `hf:o/r:${tag}`)
    const { fetch } = globalThis
    globalThis.fetch = async () => new Response(bytes.subarray(1), { status: 200 })
    try {
      const { weights } = await findHuggingFaceModel(name, new OwnStore(folder))
      for (const { target } of weights) if (!target.startsWith(`${folder}/`)) throw new Error(`a path outside of the store: ${target}`)
    } finally {
      globalThis.fetch = fetch
    }
  },
}

export const modelNames = [
  ...['mixtral:8x7b', 'user/model:tag', 'registry.example:5000/a/b:c', 'hf:owner/repo/file.gguf', 'hf:owner/repo@main:Q4_K_M'],
  ...['https://example.com/a/b.gguf?x=1', 'http://127.0.0.1:80/a.gguf', 'https://huggingface.co/o/r/resolve/main/x.gguf', '300.1.1.1/a/b'],
]
const words = ['..', '/', '%2f', '%00', ':', '@', '~lock', '.partial', '\\', '[::1]', 'hf:', 'https://', 'xn--a', '.', '#', '?', '~', ' ']

export const names = {
  name: 'names',
  share: 20,
  make: (random) => utf8.encode(mutateText(random, random.pick(modelNames), words, 2000)),
  async use(bytes) {
    const text = decoded(bytes)
    didYouMean(text, modelNames)
    const name = parseModelName(text)
    const written = modelNameText(name)
    if (name.kind === 'demo' || name.kind === 'path') return
    const store = new OwnStore('/store')
    const place = name.kind === 'ollama' ? store.ollama.manifestPath(name) : store.folderOf(name)
    if (!place.startsWith('/store/') || place.includes('/../')) throw new Error(`${text} leads out of the store: ${place}`)
    if (modelNameText(parseModelName(written)) !== written) throw new Error(`${written} is another name than it says`)
  },
}
