// The vocabularies of GGUF files as metadata, and texts of any characters through them: what is encoded and decoded
// again is the same text.

import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mutateJson } from '../mutations.mjs'
import { vocabularyMetadata } from '../tinyModel.mjs'

const metadata = Object.fromEntries(vocabularyMetadata().map(([key, , value]) => [key, value]))
const text = 'abc [INST] \0é😀 \u2581 <s></s>'

export const vocabularies = {
  name: 'vocabularies',
  share: 4,
  make: (random) => new TextEncoder().encode(JSON.stringify(mutateJson(random, metadata))),
  async use(bytes) {
    const tokenizer = Tokenizer.fromGgufMetadata(new Map(Object.entries(parsed(bytes))))
    const ids = tokenizer.encode(text, { addBos: false })
    if (ids.some((id) => tokenizer.token(id).type === 'control')) throw new Error('a text became a control token')
    tokenizer.decode(tokenizer.encodePrompt(text), { special: true })
    tokenizer.splitSpecial(text)
  },
}

function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {}
  } catch {
    return {} // a shrunken input
  }
}
