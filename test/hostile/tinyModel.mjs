// The valid inputs that are damaged: a tiny Mixtral as a GGUF file, its vocabulary, and the checkpoint that it could
// have been converted from. Owns their sizes; damages nothing.

import { encodeHeader } from '../../dist/format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../dist/format/gguf/ggmlType.js'

/** The sizes of the model. */
export const tiny = { layers: 1, hidden: 32, intermediate: 32, heads: 4, kvHeads: 2, headDim: 8, experts: 2, used: 1, context: 64 }

const words = ['\u2581', 'a', 'b', 'c', '\u2581a', 'ab', 'abc', '[INST]', '[/INST]']

/** The tokens of a vocabulary: special ones, a byte each, a few words. */
export const tokens = [
  ...['<unk>', '<s>', '</s>'],
  ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  ...words,
]
const firstWord = tokens.length - words.length
const typeOf = (id) => (id === 0 ? 2 : id < 3 ? 3 : id < firstWord ? 6 : tokens[id].startsWith('[') ? 3 : 1)

/** The keys of a vocabulary. */
export function vocabularyMetadata(pieces = tokens) {
  return [
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.tokens', 'array<string>', pieces],
    ['tokenizer.ggml.scores', 'array<float32>', pieces.map((_, id) => (id < firstWord ? 0 : firstWord - id))],
    ['tokenizer.ggml.token_type', 'array<int32>', pieces.map((_, id) => (id < tokens.length ? typeOf(id) : 1))],
    ['tokenizer.ggml.bos_token_id', 'uint32', 1],
    ['tokenizer.ggml.eos_token_id', 'uint32', 2],
    ['tokenizer.ggml.unknown_token_id', 'uint32', 0],
    ['tokenizer.ggml.add_bos_token', 'bool', true],
    ['tokenizer.chat_template', 'string', "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}"],
  ]
}

/** All keys of a model; `sizes` replace some of the tiny one. */
export function metadataOf(sizes = {}, pieces = tokens) {
  const { layers, hidden, intermediate, heads, kvHeads, headDim, experts, used, context } = { ...tiny, ...sizes }
  return [
    ['general.architecture', 'string', 'llama'],
    ['llama.block_count', 'uint32', layers],
    ['llama.context_length', 'uint32', context],
    ['llama.embedding_length', 'uint32', hidden],
    ['llama.feed_forward_length', 'uint32', intermediate],
    ['llama.attention.head_count', 'uint32', heads],
    ['llama.attention.head_count_kv', 'uint32', kvHeads],
    ['llama.attention.layer_norm_rms_epsilon', 'float32', 1e-5],
    ['llama.attention.key_length', 'uint32', headDim],
    ['llama.attention.value_length', 'uint32', headDim],
    ['llama.rope.dimension_count', 'uint32', headDim],
    ['llama.expert_count', 'uint32', experts],
    ['llama.expert_used_count', 'uint32', used],
    ['llama.vocab_size', 'uint32', pieces.length],
    ...vocabularyMetadata(pieces),
  ]
}

/** The tensors of a model in the order of a file; `typeOf` gives a matrix its type by the name of its role. */
export function tensorsOf(sizes = {}, typeOf = () => 'F32', vocab = tokens.length) {
  const { layers, hidden, intermediate, heads, kvHeads, headDim, experts } = { ...tiny, ...sizes }
  const tensors = []
  const add = (name, role, ...shape) => {
    const type = ggmlTypeByName(/_norm$|_inp$/.test(role) ? 'F32' : typeOf(role))
    tensors.push({ name: `${name}.weight`, role, type, shape })
  }
  add('token_embd', 'token_embd', hidden, vocab)
  for (let layer = 0; layer < layers; layer++) {
    const part = (role, ...shape) => add(`blk.${layer}.${role}`, role, ...shape)
    part('attn_norm', hidden)
    part('attn_q', hidden, heads * headDim)
    part('attn_k', hidden, kvHeads * headDim)
    part('attn_v', hidden, kvHeads * headDim)
    part('attn_output', heads * headDim, hidden)
    part('ffn_norm', hidden)
    part('ffn_gate_inp', hidden, experts)
    part('ffn_gate_exps', hidden, intermediate, experts)
    part('ffn_up_exps', hidden, intermediate, experts)
    part('ffn_down_exps', intermediate, hidden, experts)
  }
  add('output_norm', 'output_norm', hidden)
  add('output', 'output', hidden, vocab)
  return tensors
}

/** A file in memory: F32 tensors get small numbers, the same each time; of others `fill` gets the bytes. */
export function ggufBytes(plan, fill = () => {}) {
  const { bytes: header, tensors, fileBytes } = encodeHeader(plan)
  const file = new Uint8Array(fileBytes)
  file.set(header)
  const view = new DataView(file.buffer)
  let state = 1
  for (const [n, { type, offset, bytes }] of tensors.entries()) {
    if (type.name !== 'F32') fill(plan.tensors[n], file.subarray(offset, offset + bytes))
    else {
      for (let at = offset; at < offset + bytes; at += 4) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        view.setFloat32(at, state / 2 ** 32 - 0.5, true)
      }
    }
  }
  return file
}

/** The tiny model's file. */
export const tinyGguf = () => ggufBytes({ metadata: metadataOf(), tensors: tensorsOf() })

/** Bytes in memory as a source. */
export function memorySource(bytes, name = 'memory.gguf') {
  return { name, bytes: bytes.length, read: async (offset, length) => bytes.slice(offset, offset + length) }
}

/** The files of a checkpoint by name; two shards with an index. The tokenizer is a tokenizer.json. */
export function checkpointFiles() {
  const { hidden, intermediate, heads, kvHeads, headDim, experts, layers, used, context } = tiny
  const named = [['model.embed_tokens.weight', [tokens.length, hidden]]]
  for (let layer = 0; layer < layers; layer++) {
    const add = (name, ...shape) => named.push([`model.layers.${layer}.${name}.weight`, shape])
    add('input_layernorm', hidden)
    add('self_attn.q_proj', heads * headDim, hidden)
    add('self_attn.k_proj', kvHeads * headDim, hidden)
    add('self_attn.v_proj', kvHeads * headDim, hidden)
    add('self_attn.o_proj', hidden, heads * headDim)
    add('post_attention_layernorm', hidden)
    add('block_sparse_moe.gate', experts, hidden)
    for (let expert = 0; expert < experts; expert++) {
      add(`block_sparse_moe.experts.${expert}.w1`, intermediate, hidden)
      add(`block_sparse_moe.experts.${expert}.w2`, hidden, intermediate)
      add(`block_sparse_moe.experts.${expert}.w3`, intermediate, hidden)
    }
  }
  named.push(['model.norm.weight', [hidden]], ['lm_head.weight', [tokens.length, hidden]])
  const shardName = (n) => `model-0000${n + 1}-of-00002.safetensors`
  const shards = [named.filter((_, n) => n % 2 === 0), named.filter((_, n) => n % 2 === 1)]
  return {
    'config.json': text({
      ...{ architectures: ['MixtralForCausalLM'], model_type: 'mixtral', hidden_act: 'silu', bos_token_id: 1, eos_token_id: 2 },
      ...{ hidden_size: hidden, intermediate_size: intermediate, max_position_embeddings: context, num_attention_heads: heads },
      ...{ head_dim: headDim, num_experts_per_tok: used, num_hidden_layers: layers, num_key_value_heads: kvHeads },
      ...{ num_local_experts: experts, rms_norm_eps: 1e-5, rope_theta: 1e6, sliding_window: null, tie_word_embeddings: false },
      vocab_size: tokens.length,
    }),
    'model.safetensors.index.json': text({
      metadata: {},
      weight_map: Object.fromEntries(shards.flatMap((shard, n) => shard.map(([name]) => [name, shardName(n)]))),
    }),
    [shardName(0)]: safetensors(shards[0]),
    [shardName(1)]: safetensors(shards[1]),
    'tokenizer.json': text(tokenizerJson()),
    'tokenizer_config.json': text({
      add_bos_token: true,
      bos_token: '<s>',
      eos_token: { content: '</s>' },
      chat_template: '{{ messages }}',
    }),
    'generation_config.json': text({ eos_token_id: [2], temperature: 0.7 }),
    'special_tokens_map.json': text({ bos_token: '<s>' }),
    'added_tokens.json': text({ '[INST]': tokens.indexOf('[INST]') }),
  }
}

const text = (value) => new TextEncoder().encode(JSON.stringify(value))

/** The file of tensors whose values are small numbers. */
export function safetensors(named, header = headerOf(named)) {
  const json = new TextEncoder().encode(JSON.stringify(header))
  const bytes = named.reduce((sum, [, shape]) => sum + 4 * shape.reduce((product, size) => product * size), 0)
  const file = new Uint8Array(8 + json.length + bytes)
  const view = new DataView(file.buffer)
  view.setBigUint64(0, BigInt(json.length), true)
  file.set(json, 8)
  for (let at = 8 + json.length; at < file.length; at += 4) view.setFloat32(at, ((at >>> 2) % 7) / 8 - 0.4, true)
  return file
}

function headerOf(named) {
  let at = 0
  const entries = named.map(([name, shape]) => {
    const begin = at
    at += 4 * shape.reduce((product, size) => product * size)
    return [name, { dtype: 'F32', shape, data_offsets: [begin, at] }]
  })
  return { __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) }
}

/** The vocabulary as a tokenizer.json. */
export function tokenizerJson() {
  const normal = tokens.filter((token) => !/^\[|^<\/?s>$/.test(token))
  const special = tokens.map((content, id) => ({ id, content, special: true })).filter(({ content }) => /^\[|^<(unk|\/?s)>$/.test(content))
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((token) => ({ ...token, ...flags })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '\u2581' },
        { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: null,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries([...normal, '<s>', '</s>'].map((token) => [token, tokens.indexOf(token)])),
      merges: ['\u2581 a', 'a b', 'ab c'],
    },
  }
}
