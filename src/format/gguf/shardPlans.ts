// Cuts the plan of a file into the plans of shards, as llama.cpp's gguf-split does: tensors in order, as many to a file as fit, all metadata in the
// first file, and in each the keys that say which it is. Writes nothing.

import { MixtralError } from '../../base/errors.js'
import { type GgufEntry, type GgufPlan, tensorBytes } from './encodeHeader.js'

/** What tells shards apart; a file made of them must not have them. */
const splitKeys = ['split.no', 'split.count', 'split.tensors.count'] as const

/** The number of a shard has five digits in its name, and sixteen bits in its header. */
const MOST_SHARDS = 65535

/** Plans of files with at most `shardBytes` bytes of tensors each; a larger tensor has a file of its own. Throws `OPTION` if they are too many. */
export function shardPlans({ version, metadata, tensors }: GgufPlan, shardBytes: number): GgufPlan[] {
  const groups: GgufPlan['tensors'][number][][] = [[]]
  let bytes = 0
  for (const tensor of tensors) {
    const size = tensorBytes(tensor)
    if (bytes + size > shardBytes && groups.at(-1)!.length > 0) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)!.push(tensor)
    bytes += size
  }
  if (groups.length > MOST_SHARDS) {
    throw new MixtralError('OPTION', `${groups.length} shards of ${shardBytes} bytes, expected at most ${MOST_SHARDS}`)
  }
  const others = metadata.filter(([key]) => !(splitKeys as readonly string[]).includes(key))
  const alignment = others.filter(([key]) => key === 'general.alignment') // every header is read by its own
  return groups.map((group, n) => {
    const split: GgufEntry[] = [
      ['split.no', 'uint16', n],
      ['split.count', 'uint16', groups.length],
      ['split.tensors.count', 'int32', tensors.length],
    ]
    return { ...(version && { version }), metadata: [...(n === 0 ? others : alignment), ...split], tensors: group }
  })
}
