// Headers of GGUF files, and sets of shards: read, planned as inspect and load plan them, their vocabulary built.
// Weights are not read.

import { encodeHeader } from '../../../dist/format/gguf/encodeHeader.js'
import { readHeader } from '../../../dist/format/gguf/readHeader.js'
import { joinShards, shardPlans } from '../../../dist/format/gguf/shards.js'
import { factsOf } from '../../../dist/interfaces/inspect/modelFacts.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { mixtralTensors } from '../../../dist/runtime/weights/mixtralTensors.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mutateBytes, mutateJson } from '../mutations.mjs'
import { metadataOf, tensorsOf, tokens } from '../tinyModel.mjs'

const DATA = 200_000

/** A header, with zeros for all data behind it. */
function headerSource(header, name) {
  return {
    name,
    bytes: header.length + DATA,
    async read(offset, length) {
      const bytes = new Uint8Array(length)
      bytes.set(header.subarray(Math.min(offset, header.length), Math.min(offset + length, header.length)))
      return bytes
    },
  }
}

const fewTokens = tokens.slice(0, 259)
export const plans = [
  { metadata: metadataOf(), tensors: tensorsOf() },
  { version: 2, metadata: metadataOf({ layers: 2, experts: 4, used: 2 }), tensors: tensorsOf({ layers: 2, experts: 4 }, () => 'Q8_0') },
  { metadata: metadataOf({}, fewTokens), tensors: tensorsOf({}, () => 'F16', fewTokens.length) },
]
const headers = plans.map((plan) => encodeHeader(plan).bytes)
const shards = shardPlans(plans[0], 20_000).map((plan) => encodeHeader(plan).bytes)

async function readAll(header) {
  return joinShards([await readHeader(headerSource(header, 'a.gguf'))])
}

/** Values of the right types and wrong sizes: what is behind the checks of the format. */
function mutatePlan(random, { version, metadata, tensors }) {
  const values = mutateJson(random, Object.fromEntries(metadata.map(([key, , value]) => [key, value])))
  const shapes = random.chance(0.3)
    ? mutateJson(
        random,
        tensors.map(({ shape }) => shape),
      )
    : tensors.map(({ shape }) => shape)
  return {
    version,
    metadata: metadata.flatMap(([key, type]) => (Object.hasOwn(values, key) ? [[key, type, values[key]]] : [])),
    tensors: tensors.map((tensor, n) => ({ ...tensor, shape: shapes[n] ?? [1] })),
  }
}

function mutatedHeader(random) {
  const which = random.below(plans.length)
  if (random.chance(0.4)) return mutateBytes(random, headers[which])
  for (let n = 0; n < 20; n++) {
    try {
      return encodeHeader(mutatePlan(random, plans[which])).bytes
    } catch {
      // a value that no file can hold
    }
  }
  return headers[which]
}

export const gguf = {
  name: 'gguf',
  share: 10,
  make: mutatedHeader,
  async use(bytes) {
    const model = await readAll(bytes)
    factsOf(model, { build: 'simd', layers: undefined, options: {} })
    mixtralTensors(MixtralConfig.fromGgufMetadata(model.metadata), model)
    const tokenizer = await Tokenizer.load(model.metadata)
    tokenizer.decode(tokenizer.encodePrompt('abc <s> é'))
    ChatTemplate.fromGgufMetadata(model.metadata, tokenizer).render([{ role: 'user', content: 'abc' }])
  },
}

/** One shard of a set is damaged. The first byte says which. */
export const shardSets = {
  name: 'shards',
  share: 4,
  make(random) {
    const which = random.below(shards.length)
    return Uint8Array.of(which, ...mutateBytes(random, shards[which]))
  },
  async use([which, ...bytes]) {
    const all = []
    for (const [n, shard] of shards.entries()) {
      const header = n === which ? Uint8Array.from(bytes) : shard
      all.push(await readHeader(headerSource(header, `a-${n}.gguf`), { taken: all.at(-1)?.memory }))
    }
    const model = joinShards(all)
    mixtralTensors(MixtralConfig.fromGgufMetadata(model.metadata), model)
  },
}
