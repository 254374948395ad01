// Checkpoints with one fault each: every one is refused in one line that says what and where, and nothing is written.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { convertCheckpoint } from '../../../dist/authoring/convert/convert.js'
import { MixtralError } from '../../../dist/base/errors.js'
import { demoPieces } from './demoPieces.js'
import { bytesOf, configOf, type SourceModel, smallModel, sourceTensors, writeCheckpoint, writeJson, writeWeights } from './sourceModel.js'
import { tokenizerJsonOf } from './tokenizerJsonOf.js'

const model: SourceModel = { ...smallModel, layers: 1, hidden: 8, intermediate: 8, heads: 2, kvHeads: 1, headDim: 4, experts: 2 }

let root = ''
let folder = ''
beforeEach(async () => {
  root = await fs.mkdtemp(path.join(os.tmpdir(), 'convert-'))
  folder = path.join(root, 'checkpoint')
  await fs.mkdir(folder)
})
afterEach(() => fs.rm(root, { recursive: true }))

const config = (fields: Record<string, unknown>) => writeJson(folder, 'config.json', { ...configOf(model), ...fields })
/** An index of shards, in place of the single file. */
const index = async (weightMap: unknown) => {
  await fs.rename(path.join(folder, 'model.safetensors'), path.join(folder, 'shard.safetensors'))
  await writeJson(folder, 'model.safetensors.index.json', { weight_map: weightMap })
}
const remove = (name: string) => fs.rm(path.join(folder, name))
const file = (name: string, text: string | Uint8Array) => fs.writeFile(path.join(folder, name), text)

/** Writes the weights anew, without one, or with one changed. */
async function weights(name: string, change?: { dtype?: string; shape?: number[]; as?: string }): Promise<void> {
  const tensors = [...sourceTensors(model, 'F32')].flatMap(([own, { shape, values }]) => {
    const tensor = { name: own, dtype: 'F32', shape, bytes: bytesOf(values, 'F32') }
    if (own !== name) return [tensor]
    return change ? [...(change.as ? [tensor] : []), { ...tensor, ...change, name: change.as ?? own }] : []
  })
  await writeWeights(folder, tensors, { stem: 'model', shards: 1 })
}

/** Replaces tokenizer.model by a tokenizer.json with a change. */
async function tokenizerJson(change: (json: ReturnType<typeof tokenizerJsonOf>) => void): Promise<void> {
  const json = tokenizerJsonOf(demoPieces())
  change(json)
  await remove('tokenizer.model')
  await writeJson(folder, 'tokenizer.json', json)
}

/** The place of a merge into the piece that the one before makes too. */
function secondCut(merges: readonly string[]): number {
  const pieces = merges.map((merge) => merge.replace(' ', ''))
  return pieces.findIndex((piece, i) => i > 0 && piece === pieces[i - 1])
}

/** Adds merges of runs of many characters, those of each among each other, and cut as by one score for all. */
function addRuns({ vocab, merges }: { vocab: Record<string, number>; merges: unknown[] }, characters: number): void {
  let id = Object.keys(vocab).length
  for (let n = 0; n < characters; n++) {
    const run = (length: number) => String.fromCodePoint(0x4e00 + n).repeat(length)
    for (const length of [1, 2, 31, 32, 33, 64]) vocab[run(length)] = id++
    merges.push(`${run(32)} ${run(32)}`, `${run(1)} ${run(1)}`, `${run(31)} ${run(33)}`)
  }
}

const q = 'model.layers.0.self_attn.q_proj.weight'

const faults: Record<string, [change: () => Promise<unknown>, code: string, message: RegExp | string]> = {
  'no weights': [() => remove('model.safetensors'), 'CHECKPOINT', /checkpoint: no weights, expected model\.safetensors, or its shards/],
  'pickled weights': [
    () => fs.rename(path.join(folder, 'model.safetensors'), path.join(folder, 'pytorch_model.bin')),
    'UNSUPPORTED',
    /"pytorch_model\.bin" is a pickle, which is a program and not data/,
  ],
  'an adapter': [
    () => fs.rename(path.join(folder, 'model.safetensors'), path.join(folder, 'adapter_model.safetensors')),
    'UNSUPPORTED',
    /"adapter_model\.safetensors" belongs to an adapter/,
  ],
  'no config.json': [() => remove('config.json'), 'IO', /config\.json/],
  'a config.json that is no JSON': [() => file('config.json', '{'), 'CHECKPOINT', /config\.json: not valid JSON/],
  'a config.json that is not UTF-8': [() => file('config.json', new Uint8Array([0xff])), 'CHECKPOINT', /config\.json: not valid UTF-8/],
  'a huge config.json': [() => file('config.json', new Uint8Array(2 ** 20 + 1)), 'CHECKPOINT', /1048577 bytes, expected at most 1048576/],
  'another model': [
    () => config({ model_type: 'mistral', architectures: ['MistralForCausalLM'] }),
    'UNSUPPORTED',
    /a model of type "mistral", expected "mixtral" \(key "model_type"\)/,
  ],
  'quantized weights': [
    () => config({ quantization_config: { quant_method: 'awq' } }),
    'UNSUPPORTED',
    /weights quantized by "awq", expected plain F32, F16 or BF16/,
  ],
  'another activation': [() => config({ hidden_act: 'gelu' }), 'UNSUPPORTED', /activation "gelu", expected "silu"/],
  'a scaled rotary embedding': [
    () => config({ rope_scaling: { rope_type: 'yarn', factor: 4 } }),
    'UNSUPPORTED',
    /rotary embedding of type "yarn", expected "default"/,
  ],
  'a layer count that is a text': [
    () => config({ num_hidden_layers: '32' }),
    'CHECKPOINT',
    /"32", expected a whole number from 1 to 4096 \(key "num_hidden_layers"\)/,
  ],
  'a layer count that is huge': [
    () => config({ num_hidden_layers: 1e9 }),
    'CHECKPOINT',
    /1000000000, expected a whole number from 1 to 4096/,
  ],
  'a rotary base beyond float32': [
    () => config({ rope_theta: 1e39 }),
    'CHECKPOINT',
    /config\.json: 1e\+39, expected a number that float32 can hold \(key "rope_theta"\)/,
  ],
  'a rotary base that is 0 as float32': [
    () => config({ rope_theta: undefined, rope_parameters: { rope_theta: 1e-60 } }),
    'CHECKPOINT',
    /1e-60, expected a number that float32 can hold \(key "rope_parameters\.rope_theta"\)/,
  ],
  'an epsilon beyond float32': [
    () => config({ rms_norm_eps: 1e39 }),
    'CHECKPOINT',
    /1e\+39, expected a number that float32 can hold \(key "rms_norm_eps"\)/,
  ],
  'a temperature beyond float32': [
    () => writeJson(folder, 'generation_config.json', { temperature: 1e300 }),
    'CHECKPOINT',
    /generation_config\.json: 1e\+300, expected a number that float32 can hold \(key "temperature"\)/,
  ],
  'a missing width': [() => config({ hidden_size: undefined }), 'CHECKPOINT', /no value, expected a whole number .*"hidden_size"/],
  'heads that do not divide the width': [
    () => config({ num_attention_heads: 3 }),
    'CHECKPOINT',
    /2\.66\d*.* expected a whole number .*"head_dim"/,
  ],
  'more layers than there are': [
    () => config({ num_hidden_layers: 2 }),
    'CHECKPOINT',
    /is missing, .*"model\.layers\.1\.input_layernorm\.weight"/,
  ],
  'fewer layers than there are': [
    () => writeCheckpoint(folder, { ...model, layers: 2 }).then(() => config({})),
    'UNSUPPORTED',
    /is not one that a Mixtral has, and would change the result \(tensor "model\.layers\.1\./,
  ],
  'more experts to a token than there are': [() => config({ num_experts_per_tok: 3 }), 'MODEL', /llama\.expert_used_count/],
  'a vocabulary larger than the embeddings': [() => config({ vocab_size: 2047 }), 'CHECKPOINT', /shape \[2048,8\], expected \[2047,8\]/],

  'a missing tensor': [() => weights(q), 'CHECKPOINT', `is missing, expected with shape [8,8] (tensor "${q}")`],
  'a tensor of another shape': [() => weights(q, { shape: [4, 16] }), 'CHECKPOINT', `shape [4,16], expected [8,8] (tensor "${q}")`],
  'a tensor of another type': [
    () => weights(q, { dtype: 'F8_E4M3', shape: [8, 32] }),
    'UNSUPPORTED',
    `elements of type "F8_E4M3", expected F32, F16, BF16 (tensor "${q}")`,
  ],
  'a bias': [
    () => weights(q, { as: 'model.layers.0.self_attn.q_proj.bias' }),
    'UNSUPPORTED',
    /would change the result \(tensor "model\.layers\.0\.self_attn\.q_proj\.bias"\)/,
  ],
  'a damaged file': [() => file('model.safetensors', new Uint8Array(20).fill(255)), 'CHECKPOINT', /a header of 18446744073709551615 bytes/],

  'an index without a map': [
    () => index(undefined),
    'CHECKPOINT',
    /no value, expected an object of tensors and their files \(key "weight_map"\)/,
  ],
  'an index that names no file': [() => index({}), 'CHECKPOINT', /names 0 files, expected 1 to 512/],
  'an index that names a thousand files': [
    () => index(Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`t${n}`, `${n}.safetensors`]))),
    'CHECKPOINT',
    /names 1000 files, expected 1 to 512/,
  ],
  'an index that leads out of the folder': [
    () => index({ [q]: '../secret.safetensors' }),
    'CHECKPOINT',
    /"\.\.\/secret\.safetensors", expected the name of a safetensors file beside the index/,
  ],
  'an index with an absolute path': [
    () => index({ [q]: '/etc/passwd' }),
    'CHECKPOINT',
    /"\/etc\/passwd", expected the name of a safetensors file/,
  ],
  'an index with a number for a file': [() => index({ [q]: 7 }), 'CHECKPOINT', /7, expected a string/],
  'a missing shard': [() => index({ [q]: 'model-00001-of-00002.safetensors' }), 'IO', /cannot open .*model-00001-of-00002\.safetensors/],
  'a shard that lacks a tensor': [
    () => index({ [q]: 'shard.safetensors', other: 'shard.safetensors' }),
    'CHECKPOINT',
    /shard\.safetensors: has no tensor "other", which model\.safetensors\.index\.json says is in it/,
  ],

  'no tokenizer': [() => remove('tokenizer.model'), 'CHECKPOINT', /no tokenizer, expected tokenizer\.model or tokenizer\.json/],
  'a tokenizer.model of noise': [
    () => file('tokenizer.model', 'no such thing'),
    'CHECKPOINT',
    /tokenizer\.model: has a field of wire type 6 before byte 1, .*: not a SentencePiece model/,
  ],
  'an empty tokenizer.model': [() => file('tokenizer.model', ''), 'CHECKPOINT', /no pieces: not a SentencePiece model/],
  'an EOS that is no token': [
    () => writeJson(folder, 'tokenizer_config.json', { eos_token: '<|no|>' }),
    'CHECKPOINT',
    /"<\|no\|>", expected a token of the vocabulary \(key "eos_token"\)/,
  ],
  'an EOS that is no whole number': [
    () => config({ eos_token_id: 2.5 }),
    'CHECKPOINT',
    /2\.5, expected an id below 2048 \(key "eos_token_id"\)/,
  ],
  'an added token with an impossible id': [
    () => writeJson(folder, 'added_tokens.json', { extra: 1e9 }),
    'CHECKPOINT',
    /1000000000, expected a whole number from 0 to 1048575 \(key "extra"\)/,
  ],
  'an added token without a text': [
    () => writeJson(folder, 'tokenizer_config.json', { added_tokens_decoder: { 7: {} } }),
    'CHECKPOINT',
    /no value, expected well-formed text, 1 to 256 long \(key "added_tokens_decoder\.7\.content"\)/,
  ],
  'a chat template that is a number': [
    () => writeJson(folder, 'tokenizer_config.json', { chat_template: 7 }),
    'CHECKPOINT',
    /7, expected a string \(key "chat_template"\)/,
  ],

  'a WordPiece tokenizer.json': [
    () => tokenizerJson(({ model: own }) => Object.assign(own, { type: 'WordPiece' })),
    'UNSUPPORTED',
    /a model of type "WordPiece", expected "BPE"/,
  ],
  'a tokenizer.json of bytes': [
    () => tokenizerJson((json) => Object.assign(json, { normalizer: null, pre_tokenizer: { type: 'ByteLevel' } })),
    'UNSUPPORTED',
    /"ByteLevel", expected what SentencePiece does/,
  ],
  'a tokenizer.json that changes letters': [
    () => tokenizerJson((json) => Object.assign(json, { normalizer: { type: 'Lowercase' } })),
    'UNSUPPORTED',
    /"Lowercase", expected what SentencePiece does/,
  ],
  'a tokenizer.json without bytes for unknown characters': [
    () => tokenizerJson(({ model: own }) => Object.assign(own, { byte_fallback: false })),
    'UNSUPPORTED',
    /is not true: expected a SentencePiece vocabulary/,
  ],
  'a merge of a piece that is none': [
    () => tokenizerJson(({ model: own }) => own.merges.push('q zqz')),
    'CHECKPOINT',
    /merges "q" and "zqz", expected pieces of the vocabulary/,
  ],
  'a merge of three': [
    () => tokenizerJson(({ model: own }) => own.merges.push('a b c')),
    'CHECKPOINT',
    /expected a list of pairs of pieces/,
  ],
  'merges without a cut that SentencePiece would take': [
    () => tokenizerJson(({ model: own }) => own.merges.splice(secondCut(own.merges as string[]), 1)),
    'UNSUPPORTED',
    / is not merged from "\S+" and "\S+", as SentencePiece would: expected/,
  ],
  'merges in an order that no scores have': [
    () => tokenizerJson(({ model: own }) => own.merges.push(own.merges[0]!)),
    'UNSUPPORTED',
    /the merges into "\S+" do not stand together/,
  ],
  'merges among each other that are no runs of one character': [
    () =>
      tokenizerJson(({ model: own }) => {
        const [first, second] = [own.merges.indexOf('t h'), own.merges.indexOf('i n')]
        const [low, high] = [Math.min(first, second), Math.max(first, second)]
        own.merges.splice(high + 1, 0, own.merges[low]!)
      }),
    'UNSUPPORTED',
    /do not stand together/,
  ],
  'more merges out of order than a call can have arguments': [
    () =>
      tokenizerJson(({ model: own }) => {
        const [first] = own.merges
        for (let n = 0; n < 200_000; n++) own.merges.push(first!)
      }),
    'UNSUPPORTED',
    /do not stand together/,
  ],
  'merges of long runs among each other, of thousands of characters': [
    () => tokenizerJson(({ model: own }) => addRuns(own, 3000)),
    'UNSUPPORTED',
    /too many merges of long runs do not stand together, expected the order of a SentencePiece model/,
  ],
  'two pieces of one id': [
    () => tokenizerJson(({ model: own }) => Object.assign(own.vocab, { zqz: 5 })),
    'CHECKPOINT',
    /5, expected an id of its own/,
  ],
}

test.each(Object.entries(faults))('%s is refused', async (_, [change, code, message]) => {
  await writeCheckpoint(folder, model)
  await change()
  const error = await convertCheckpoint(folder, path.join(root, 'out.gguf')).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(MixtralError)
  const { code: found, message: text } = error as MixtralError
  expect(text).toMatch(message)
  expect(found).toBe(code)
  expect(text).not.toContain('\n')
  expect(await fs.readdir(root)).toEqual(['checkpoint'])
})

test
  .runIf(process.platform !== 'win32')
  .each(['chat_template.jinja', 'tokenizer.model', 'tokenizer_config.json', 'config.json', 'added_tokens.json'])(
  '%s that is a link out of the checkpoint is refused, and one to the blobs of a hub is not',
  async (name) => {
    await writeCheckpoint(folder, model)
    const there = await fs.readFile(path.join(folder, name)).catch(() => Buffer.from('{}'))
    await fs.rm(path.join(folder, name), { force: true })
    await fs.writeFile(path.join(root, 'secret'), there)
    await fs.symlink('../secret', path.join(folder, name))
    const message = expect.stringMatching(/checkpoint\/.*: a link to .*secret, outside of the checkpoint, expected a file/)
    await expect(convertCheckpoint(folder, path.join(root, 'out.gguf'))).rejects.toMatchObject({ code: 'CHECKPOINT', message })
    expect((await fs.readdir(root)).sort()).toEqual(['checkpoint', 'secret'])

    const snapshot = path.join(root, 'hub/snapshots/c0ffee')
    await fs.mkdir(path.join(root, 'hub/blobs'), { recursive: true })
    await fs.mkdir(path.dirname(snapshot))
    await fs.rename(folder, snapshot)
    await fs.rm(path.join(snapshot, name))
    await fs.writeFile(path.join(root, 'hub/blobs/abc'), there)
    await fs.symlink('../../blobs/abc', path.join(snapshot, name))
    await convertCheckpoint(snapshot, path.join(root, 'out.gguf'))
  },
)

test('a folder that cannot be resolved is an error by name', async () => {
  await writeCheckpoint(folder, model)
  const realpath = vi.spyOn(fs, 'realpath').mockRejectedValue(new Error('EIO'))
  const converting = convertCheckpoint(folder, path.join(root, 'out.gguf'))
  await expect(converting).rejects.toMatchObject({ code: 'IO', message: `cannot open ${folder}: EIO` })
  realpath.mockRestore()
})

test('the checkpoint without a fault converts', async () => {
  await writeCheckpoint(folder, model)
  await convertCheckpoint(folder, path.join(root, 'out.gguf'))
  expect((await fs.readdir(root)).sort()).toEqual(['checkpoint', 'out.gguf'])
})
