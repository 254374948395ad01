// Walks without a model: documents drawn with equal chances among the tokens that the mask allows, which is how random
// logits draw. WALKS=20000 for the full number.

import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { Random } from '../../../dist/runtime/sampler/random.js'
import { Constraint } from '../../../dist/text/constraint/constraint.js'
import { TokenTrie } from '../../../dist/text/constraint/tokenTrie.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mistralMetadata } from '../tokenizer/vocabularies.js'
import { SchemaSource } from './randomSchemas.js'

const WALKS = Number(process.env.WALKS ?? 200)
const SCHEMAS = Math.min(400, WALKS / 4)
/** Tokens of a walk. Texts of bounded schemas are shorter. */
const MOST_TOKENS = 3000

const tokenizer = Tokenizer.fromGgufMetadata(mistralMetadata())
const trie = new TokenTrie(tokenizer)
const random = new Random(18)

test(`${WALKS} random walks under ${SCHEMAS} random schemas parse, satisfy ajv, and end where the schema is bounded`, {
  timeout: 3_600_000,
}, () => {
  const source = new SchemaSource(random)
  let unfinished = 0
  for (let schemas = 0; schemas < SCHEMAS; ) {
    const bounded = schemas % 4 !== 3
    const schema = bounded ? source.bounded() : source.unbounded()
    const constraint = supported(schema)
    if (constraint === undefined) continue
    schemas++
    const ajv = new Ajv2020({ strict: false, allErrors: false })
    const validate = ajv.compile(schema as object)
    for (let walk = 0; walk < WALKS / SCHEMAS; walk++) {
      const ids = walkThrough(constraint)
      if (ids === undefined) {
        expect(bounded, `a walk without end under ${JSON.stringify(schema)}`).toBe(false)
        unfinished++
        continue
      }
      const text = tokenizer.decode(ids)
      const valid = validate(JSON.parse(text))
      expect(valid, `${text} under ${JSON.stringify(schema)}: ${ajv.errorsText(validate.errors)}`).toBe(true)
    }
  }
  expect(unfinished).toBeLessThanOrEqual(WALKS / 20)
})

/** The schema's constraint; undefined where it is refused, or has no value. */
function supported(schema: unknown): Constraint | undefined {
  try {
    return new Constraint({ jsonSchema: schema }, trie)
  } catch (error) {
    if (error instanceof MixtralError) return undefined
    throw error
  }
}

/** The tokens of a walk to an end token, forced ones included; undefined if there is none within the limit. */
function walkThrough(constraint: Constraint): number[] | undefined {
  const state = constraint.start(true)
  const ids: number[] = []
  const mask = new Uint32Array(Math.ceil(trie.vocabSize / 32))
  while (ids.length < MOST_TOKENS) {
    for (const id of state.forced()) {
      state.accept(id)
      ids.push(id)
    }
    const id = drawn(state.mask(mask))
    state.accept(id)
    if (tokenizer.endIds.has(id)) return ids
    ids.push(id)
  }
  return undefined
}

function drawn(mask: Uint32Array): number {
  let count = 0
  for (const word of mask) count += bitsIn(word)
  let left = Math.floor(random.next() * count)
  for (const [index, word] of mask.entries()) {
    const bits = bitsIn(word)
    if (left >= bits) {
      left -= bits
      continue
    }
    for (let bit = 0; bit < 32; bit++) if ((word >>> bit) & 1 && left-- === 0) return 32 * index + bit
  }
  throw new Error('the mask is empty')
}

function bitsIn(word: number): number {
  word -= (word >>> 1) & 0x55555555
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333)
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
