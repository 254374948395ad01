// The reader on the demo model, against numbers known and against the library of Hugging Face.

import { gguf as readWithHub } from '@huggingface/gguf'
import { expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'

const demo = 'models/tiny-mixtral.Q4_K_M.gguf'

test('the demo model opens', async () => {
  const { version, metadata, tensors, files } = await openGguf(demo)
  expect(version).toBe(3)
  expect(metadata.get('llama.expert_count')).toBe(8)
  expect(files).toEqual([{ path: demo, bytes: 7325408 }])
  expect(tensors.size).toBe(63)
  expect(tensors.get('blk.0.ffn_gate_exps.weight')).toMatchObject({ type: { name: 'Q4_K' }, shape: [256, 256, 8], bytes: 294912 })
})

test('metadata and tensors agree with the @huggingface/gguf library', async () => {
  const ours = await openGguf(demo)
  const theirs = await readWithHub(demo, { allowLocalFile: true })
  const { version, tensor_count, kv_count, ...metadata } = theirs.metadata as unknown as Record<string, unknown>
  expect([version, tensor_count, kv_count]).toEqual([ours.version, BigInt(ours.tensors.size), BigInt(ours.metadata.size)])
  expect(Object.fromEntries(ours.metadata)).toEqual(metadata)
  expect(
    [...ours.tensors.values()].map(({ name, type, shape, offset }) => ({
      name,
      n_dims: shape.length,
      shape: shape.map(BigInt),
      dtype: type.id as number,
      offset: BigInt(offset) - theirs.tensorDataOffset,
    })),
  ).toEqual(theirs.tensorInfos)
})
