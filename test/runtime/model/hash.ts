// Comparing logits bit for bit. Not a test.

import { createHash } from 'node:crypto'

/** SHA-256 of the floats' bytes: equal hashes are equal bits. */
export function hashOf(logits: Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength))
    .digest('hex')
}
