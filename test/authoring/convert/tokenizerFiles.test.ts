// What the files beside a vocabulary add to it: tokens, ids with a meaning, what goes around a text, chat templates.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { convertCheckpoint } from '../../../dist/authoring/convert/convert.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { checkTools } from '../../../dist/text/tools/toolDefinitions.js'
import { HERMES } from '../../text/chat/toolTemplates.js'
import { demoPieces } from './demoPieces.js'
import { configOf, type SourceModel, smallModel, tokenizerModel, writeCheckpoint, writeJson } from './sourceModel.js'
import { addedToken, tokenizerJsonOf } from './tokenizerJsonOf.js'

const model: SourceModel = {
  ...smallModel,
  ...{ layers: 1, hidden: 8, intermediate: 8, heads: 2, kvHeads: 1, headDim: 4, experts: 2, vocab: 2052 },
}

let folder = ''
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'convert-'))
  await writeCheckpoint(folder, model)
})
afterEach(() => fs.rm(folder, { recursive: true }))

async function convertedMetadata() {
  const target = path.join(folder, 'out.gguf')
  await convertCheckpoint(folder, target)
  return (await openGguf(target)).metadata
}

async function useTokenizerJson(change: (json: ReturnType<typeof tokenizerJsonOf>) => void = () => {}) {
  const json = tokenizerJsonOf(demoPieces())
  change(json)
  await fs.rm(path.join(folder, 'tokenizer.model'), { force: true })
  await writeJson(folder, 'tokenizer.json', json)
}

/** Pieces and types of the ids past the vocabulary, of which there are four. */
async function added() {
  const metadata = await convertedMetadata()
  const [pieces, types] = ['tokens', 'token_type'].map((key) => (metadata.get(`tokenizer.ggml.${key}`) as unknown[]).slice(2048))
  return pieces!.map((piece, i) => [piece, types![i]])
}

const [CONTROL, USER_DEFINED, UNUSED] = [3, 4, 5]

test('embeddings without a token get unused ones', async () => {
  expect(await added()).toEqual([2048, 2049, 2050, 2051].map((id) => [`[PAD${id}]`, UNUSED]))
})

test('added tokens come from three files, of which the last has the say', async () => {
  await writeJson(folder, 'added_tokens.json', { first: 2048, second: 2049, third: 2050 })
  await writeJson(folder, 'tokenizer.json', { added_tokens: [addedToken(2049, '<two>', true), addedToken(2050, '<three>', false)] })
  await writeJson(folder, 'tokenizer_config.json', {
    added_tokens_decoder: {
      2050: { content: '<|im_end|>', special: false },
      2051: { content: 'a word', special: false },
      2052: { content: 'past' },
    },
  })
  expect(await added()).toEqual([
    ['first', USER_DEFINED],
    ['<two>', CONTROL],
    ['<|im_end|>', CONTROL],
    ['a word', USER_DEFINED],
  ])
})

test('added tokens are found in texts as in those of Hugging Face: special ones only where asked for', async () => {
  await writeJson(folder, 'added_tokens.json', { 'a word': 2048, '<|im_start|>': 2049 })
  const tokenizer = Tokenizer.fromGgufMetadata(await convertedMetadata())
  expect(tokenizer.encode('a word', { addBos: false })).toEqual([2048])
  expect(tokenizer.encode('<|im_start|>', { addBos: false })).not.toContain(2049)
  expect(tokenizer.encode('<|im_start|>', { addBos: false, parseSpecial: true })).toEqual([2049])
})

test('tokenizer_config.json names special tokens by their texts, plain or with more', async () => {
  await writeJson(folder, 'tokenizer_config.json', {
    added_tokens_decoder: { 2048: { content: '<|im_end|>', special: true }, 2049: { content: '<pad>', special: true } },
    ...{ bos_token: { content: '<s>', lstrip: false }, eos_token: '<|im_end|>', pad_token: '<pad>', unk_token: '<unk>' },
    ...{ add_bos_token: false, add_eos_token: true, add_prefix_space: false },
  })
  const metadata = await convertedMetadata()
  const value = (key: string) => metadata.get(`tokenizer.ggml.${key}`)
  expect([value('bos_token_id'), value('eos_token_id'), value('padding_token_id'), value('unknown_token_id')]).toEqual([1, 2048, 2049, 0])
  // config.json still says 2, which then ends an answer too.
  expect(value('eot_token_id')).toBe(2)
  expect([value('add_bos_token'), value('add_eos_token'), value('add_space_prefix')]).toEqual([false, true, false])
  expect(Tokenizer.fromGgufMetadata(metadata).endIds).toEqual(new Set([2048, 2]))
})

test('without tokenizer_config.json, config.json and then the vocabulary say which ids are special', async () => {
  await writeJson(folder, 'config.json', { ...configOf(model), bos_token_id: undefined, eos_token_id: [2051, 2], pad_token_id: -1 })
  const metadata = await convertedMetadata()
  const value = (key: string) => metadata.get(`tokenizer.ggml.${key}`)
  expect([value('bos_token_id'), value('eos_token_id'), value('eot_token_id'), value('padding_token_id')]).toEqual([1, 2051, 2, undefined])
})

test('tokenizer.json alone says what goes around a text', async () => {
  await useTokenizerJson()
  const metadata = await convertedMetadata()
  const value = (key: string) => metadata.get(`tokenizer.ggml.${key}`)
  expect([value('add_bos_token'), value('add_eos_token'), value('add_space_prefix')]).toEqual([true, false, undefined])
  await useTokenizerJson((json) => {
    json.normalizer = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  })
  const without = await convertedMetadata()
  expect(without.get('tokenizer.ggml.add_space_prefix')).toBe(false)
  expect(Tokenizer.fromGgufMetadata(without).encode('Once', { addBos: false })).not.toEqual([672])
})

test('tokenizer.model goes before tokenizer.json', async () => {
  await useTokenizerJson(({ model: own }) => Object.assign(own, { type: 'Unigram' }))
  await expect(convertedMetadata()).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  await fs.copyFile(tokenizerModel, path.join(folder, 'tokenizer.model'))
  await convertedMetadata()
})

test('a chat template comes from its own file, or else from tokenizer_config.json', async () => {
  await writeJson(folder, 'tokenizer_config.json', { chat_template: 'one' })
  expect((await convertedMetadata()).get('tokenizer.chat_template')).toBe('one')
  await fs.writeFile(path.join(folder, 'chat_template.jinja'), 'two\n')
  expect((await convertedMetadata()).get('tokenizer.chat_template')).toBe('two\n')
})

test('a chat template of its own file replaces the default of several', async () => {
  const named = { default: 'one', tool_use: 'two' }
  const list = Object.entries(named).map(([name, template]) => ({ name, template }))
  await writeJson(folder, 'tokenizer_config.json', { chat_template: list })
  await fs.writeFile(path.join(folder, 'chat_template.jinja'), 'three')
  const metadata = await convertedMetadata()
  expect(metadata.get('tokenizer.chat_template')).toBe('three')
  expect(metadata.get('tokenizer.chat_template.tool_use')).toBe('two')
})

test('templates in files of their own are named by them, and go before those of a list', async () => {
  const inside = path.join(folder, 'additional_chat_templates')
  await fs.mkdir(inside)
  const files = { 'tool_use.jinja': 'two\n', 'rag-v2.jinja': 'three', '._tool_use.jinja': '\0', 'notes.txt': 'none' }
  for (const [name, text] of Object.entries(files)) await fs.writeFile(path.join(inside, name), text)
  await fs.mkdir(path.join(inside, 'folder.jinja'))
  const templates = async () => [...(await convertedMetadata())].filter(([key]) => key.startsWith('tokenizer.chat'))
  const named = [
    ['tokenizer.chat_template.rag_v2', 'three'],
    ['tokenizer.chat_template.tool_use', 'two\n'],
    ['tokenizer.chat_templates', ['rag_v2', 'tool_use']],
  ]
  await fs.writeFile(path.join(folder, 'chat_template.jinja'), 'one')
  expect(await templates()).toEqual([...named, ['tokenizer.chat_template', 'one']])
  await fs.rm(path.join(folder, 'chat_template.jinja'))
  await writeJson(folder, 'tokenizer_config.json', { chat_template: 'plain' })
  expect(await templates()).toEqual([...named, ['tokenizer.chat_template', 'plain']])
  const list = Object.entries({ default: 'listed', tool_use: 'older', other: 'four' }).map(([name, template]) => ({ name, template }))
  await writeJson(folder, 'tokenizer_config.json', { chat_template: list })
  expect(Object.fromEntries(await templates())).toEqual({
    'tokenizer.chat_template.rag_v2': 'three',
    'tokenizer.chat_template.tool_use': 'two\n',
    'tokenizer.chat_template.other': 'four',
    'tokenizer.chat_templates': ['tool_use', 'other', 'rag_v2'],
    'tokenizer.chat_template': 'listed',
  })
})

test('the named template for tools is that of chats with tools', async () => {
  await fs.mkdir(path.join(folder, 'additional_chat_templates'))
  await fs.writeFile(path.join(folder, 'chat_template.jinja'), '{{ messages[0].content }}')
  await fs.writeFile(path.join(folder, 'additional_chat_templates', 'tool_use.jinja'), HERMES)
  const metadata = await convertedMetadata()
  const template = ChatTemplate.fromGgufMetadata(metadata, Tokenizer.fromGgufMetadata(metadata))
  const { tools } = checkTools({ tools: [{ type: 'function', function: { name: 'get' } }] })!
  const messages = [{ role: 'user', content: 'Hi' }]
  expect(template.render(messages).text).toBe('Hi')
  expect(template.render(messages, { tools }).text).toContain('<tools>')
})

test.each<[what: string, prepare: (inside: string) => Promise<void>, message: RegExp]>([
  [
    'a link out of the checkpoint',
    async (inside) => {
      await fs.symlink(fileURLToPath(import.meta.url), path.join(inside, 'tool_use.jinja'))
    },
    /tool_use\.jinja.*a link to .*tokenizerFiles\.test\.ts, outside of the checkpoint/,
  ],
  [
    'more templates than any model has',
    async (inside) => {
      for (let i = 0; i < 65; i++) await fs.writeFile(path.join(inside, `t${i}.jinja`), '')
    },
    /65 templates in additional_chat_templates, expected at most 64/,
  ],
])('%s among the named templates is refused', async (_, prepare, message) => {
  const inside = path.join(folder, 'additional_chat_templates')
  await fs.mkdir(inside)
  await prepare(inside)
  await expect(convertedMetadata()).rejects.toThrow(
    expect.objectContaining({ code: 'CHECKPOINT', message: expect.stringMatching(message) }),
  )
})

test('several chat templates keep their names', async () => {
  const templates = { default: 'one', tool_use: 'two', 'a-b': 'three' }
  await writeJson(folder, 'tokenizer_config.json', {
    chat_template: Object.entries(templates).map(([name, template]) => ({ name, template })),
  })
  const metadata = await convertedMetadata()
  expect([...metadata].filter(([key]) => key.startsWith('tokenizer.chat'))).toEqual([
    ['tokenizer.chat_template.tool_use', 'two'],
    ['tokenizer.chat_template.a_b', 'three'],
    ['tokenizer.chat_templates', ['tool_use', 'a_b']],
    ['tokenizer.chat_template', 'one'],
  ])
})

test('added_tokens.json may name tokens of the vocabulary again', async () => {
  await writeJson(folder, 'added_tokens.json', { '<unk>': 0, '<s>': 1, '</s>': 2, '<|im_end|>': 2048, '<|im_start|>': 2049 })
  expect((await added()).slice(0, 2)).toEqual([
    ['<|im_end|>', CONTROL],
    ['<|im_start|>', CONTROL],
  ])
  const metadata = await convertedMetadata()
  const types = metadata.get('tokenizer.ggml.token_type') as number[]
  expect(types.slice(0, 3)).toEqual([2, CONTROL, CONTROL])
})

test('what tokenizer_config.json leaves open with null is as if absent', async () => {
  await writeJson(folder, 'tokenizer_config.json', { add_prefix_space: null, chat_template: null, pad_token: null, add_bos_token: true })
  const metadata = await convertedMetadata()
  for (const key of ['ggml.add_space_prefix', 'chat_template', 'ggml.padding_token_id'])
    expect(metadata.has(`tokenizer.${key}`), key).toBe(false)
})

test('tokens past the embeddings are left out, and that is said', async () => {
  await writeJson(folder, 'added_tokens.json', { '[PAD]': 2052, '<extra>': 2053, ok: 2050 })
  await writeJson(folder, 'tokenizer_config.json', { bos_token: '<s>', eos_token: '</s>', pad_token: '[PAD]' })
  await writeJson(folder, 'generation_config.json', { eos_token_id: [2, 2060], pad_token_id: 2052 })
  const target = path.join(folder, 'out.gguf')
  const { notes } = await convertCheckpoint(folder, target)
  expect(notes).toEqual([
    'tokens past the model\'s 2052 embeddings are left out: "[PAD]" (2052), "<extra>" (2053)',
    "eos_token_id 2060 in generation_config.json is past the model's 2052 embeddings and left out",
  ])
  const { metadata } = await openGguf(target)
  expect(metadata.has('tokenizer.ggml.padding_token_id')).toBe(false)
  expect(metadata.get('tokenizer.ggml.eos_token_id')).toBe(2)
  expect((metadata.get('tokenizer.ggml.tokens') as string[])[2050]).toBe('ok')
})

test('an EOS past the embeddings gives way to that of the vocabulary', async () => {
  await writeJson(folder, 'added_tokens.json', { '<|im_end|>': 2052 })
  await writeJson(folder, 'tokenizer_config.json', { eos_token: '<|im_end|>' })
  await writeJson(folder, 'config.json', { ...configOf(model), eos_token_id: 2052 })
  const { notes } = await convertCheckpoint(folder, path.join(folder, 'out.gguf'))
  expect(notes).toHaveLength(2)
  expect((await openGguf(path.join(folder, 'out.gguf'))).metadata.get('tokenizer.ggml.eos_token_id')).toBe(2)
})
