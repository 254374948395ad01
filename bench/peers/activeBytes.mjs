// How many bytes of a file one token has to read: what bounds decode, whoever runs it. Counted in the file's own block
// formats.

/** Tensors of experts, in files of both layouts: merged (ffn_up_exps) and one per expert (ffn_up.3). */
const ofExperts = /^blk\.\d+\.ffn_(gate|up|down)(_exps|\.\d+)\./

/**
 * Weight bytes per token: all of the shared tensors, the used share of the experts, one row of the embedding. And the
 * bytes that each token of context adds, with keys and values in f16.
 */
export function activeBytes(metadata, tensors) {
  const experts = metadata.get('llama.expert_count')
  const used = metadata.get('llama.expert_used_count')
  const tied = !tensors.has('output.weight')
  let perToken = 0
  for (const { name, bytes, shape } of tensors.values()) {
    if (ofExperts.test(name)) perToken += (bytes * used) / experts
    else if (name === 'token_embd.weight' && !tied) perToken += bytes / shape[1]
    else perToken += bytes
  }
  const headDim = metadata.get('llama.embedding_length') / metadata.get('llama.attention.head_count')
  const width = headDim * metadata.get('llama.attention.head_count_kv')
  const halves = 2 * 2 // a key and a value of two bytes each
  return { activeBytes: perToken, kvBytesPerToken: metadata.get('llama.block_count') * width * halves }
}
