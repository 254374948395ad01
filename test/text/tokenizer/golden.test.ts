import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'

interface Golden {
  text: string
  ids: number[]
  decoded: string
}

const goldens: Golden[] = JSON.parse(readFileSync(new URL('../../golden/demo/tokenizer.json', import.meta.url), 'utf8'))
let tokenizer: Tokenizer

beforeAll(async () => {
  const model = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
  tokenizer = Tokenizer.fromGgufMetadata((await openGguf(model)).metadata)
})

test('the demo vocabulary encodes every golden text to the ids of SentencePiece', () => {
  expect(goldens.length).toBeGreaterThan(200)
  for (const { text, ids } of goldens) expect(tokenizer.encode(text, { addBos: false }), JSON.stringify(text)).toEqual(ids)
})

test('the demo vocabulary decodes every golden as SentencePiece does', () => {
  for (const { ids, decoded } of goldens) expect(tokenizer.decode(ids)).toBe(decoded)
})
