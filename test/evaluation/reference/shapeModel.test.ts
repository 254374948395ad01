// The generator of the odd-shaped models, against the values and hashes that came with the goldens.

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { shapes, shapeValues } from '../../golden/shapeModel.js'

test.each(shapes)('$name: the rule gives the golden weights', (shape) => {
  const q = shapeValues(shape, 'blk.0.attn_q.weight', shape.dim, shape.dim * shape.heads * shape.headDim)
  expect(Array.from(q.subarray(0, 5))).toEqual(shape.check['blk.0.attn_q.weight[0..4]'])
  const hash = createHash('sha256').update(new Uint8Array(q.buffer)).digest('hex')
  expect(hash).toBe(shape.check['sha256 of blk.0.attn_q.weight as float32'])
})
