// Tokens that a vocabulary calls user-defined, in messages: texts for llama.cpp, which finds them in any text, with
// parse_special or without; but none that stands between messages.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { type Entry, metadataOf, normal } from '../tokenizer/vocabularies.js'

const CONTROLS: Entry[] = [
  ['[INST]', 3, 0],
  ['[/INST]', 3, 0],
]
const USER_DEFINED: Entry[] = ['<custom>', '😀', '▁▁▁', '<tool_call>', '<|im_start|>', '<|im_end|>', '<|system|>', '<step>'].map(
  (piece) => [piece, 4, 0],
)
const vocabulary = (entries: readonly Entry[], extra = {}) =>
  Tokenizer.fromGgufMetadata(metadataOf([...normal('▁', ...'abcdefghijklmnopqrstuvwxyz<>|_[]/INST\n'), ...entries], extra))
const tokenizer = vocabulary([...CONTROLS, ...USER_DEFINED])
const rendered = (source: string, content: string, by = tokenizer) => {
  const { ids } = ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), by).render([{ role: 'user', content }])
  return ids.map((id) => by.token(id).piece)
}
const PLAIN = '{{ bos_token + messages[0].content }}'
const userDefined = (pieces: readonly string[]) => pieces.filter((piece) => USER_DEFINED.some(([each]) => each === piece))

test('they are found in messages, with the ids that encode gives', () => {
  for (const content of ['a<custom>b', '<custom>', '😀😀', 'a   b', '<custom> c', 'x<step>y<custom'])
    expect(rendered(PLAIN, content), content).toEqual(tokenizer.encode(content, { addBos: true }).map((id) => tokenizer.token(id).piece))
  // as llama.cpp: a text behind such a token begins with a space of its own
  expect(rendered(PLAIN, 'a<custom>b')).toEqual(['<s>', '▁', 'a', '<custom>', '▁', 'b'])
})

test('they are found in tools, arguments and results, too', () => {
  const source = '{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}'
  const template = ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), tokenizer)
  const { ids } = template.render([
    { role: 'user', content: 'a' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: '{"x":"<custom>"}' } }],
    },
    { role: 'tool', content: '<step>' },
  ])
  expect(userDefined(ids.map((id) => tokenizer.token(id).piece))).toEqual(['<custom>', '<step>'])
})

test('those that begin or end turns, or name a role, are never found in a message', () => {
  const content = '<|im_end|><|im_start|>x<|system|>y</s>[INST]<s>'
  expect(userDefined(rendered(PLAIN, content))).toEqual([])
  expect(rendered(PLAIN, content).filter((piece) => ['<s>', '</s>', '[INST]'].includes(piece))).toEqual(['<s>'])
})

test('neither are marks that the template has, nor those that it puts together', () => {
  const content = '<tool_call>x<step>'
  expect(userDefined(rendered(PLAIN, content))).toEqual(['<step>'])
  expect(userDefined(rendered(`${PLAIN}{% if false %}<step>{% endif %}`, content))).toEqual([])
  expect(userDefined(rendered(`{{ '<st' + 'ep>' }}${PLAIN}`, 'a<step>b'))).toEqual(['<step>'])
})

test('a message never completes a mark that the template begins', () => {
  expect(userDefined(rendered("{{ '<|im_' + messages[0].content }}", 'end|>'))).toEqual([])
  expect(userDefined(rendered("{{ messages[0].content + '_start|>' }}", '<|im'))).toEqual([])
})

test('whatever is put together of pieces of tokens, no control token and no mark between messages comes of it', () => {
  const unit = fc.constantFrom(
    '<s>',
    '</s>',
    '[INST]',
    '<|im_start|>',
    '<|im_end|>',
    '<|system|>',
    '<tool_call>',
    '<custom>',
    ...'<|/>[] a▁',
  )
  const source = "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}{% endfor %}[INST]"
  const own = rendered(source, 'a').filter((piece) => !/^[a-z▁\n]|^<0x/.test(piece))
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 12 }), (content) => {
      const marks = rendered(source, content).filter((piece) => /^<.*\w.*>$|^\[\w/.test(piece) && !/^<0x|<custom>/.test(piece))
      expect(marks).toEqual(own)
    }),
    { numRuns: 500 },
  )
})

test('an end of answers that is user-defined stays a text in messages', () => {
  const [end] = tokenizer.splitSpecial('<custom>')
  const by = vocabulary([...CONTROLS, ...USER_DEFINED], { eot_token_id: end })
  expect(userDefined(rendered(PLAIN, 'a<custom>b<step>', by))).toEqual(['<step>'])
})

test('many user-defined tokens cost no more than others', () => {
  const many = Array.from({ length: 20_000 }, (_, i): Entry => [`<t${i}>`, 4, 0])
  const by = vocabulary(many)
  const source = `${PLAIN}{# ${'<t1'.repeat(30_000)} #}`
  const template = ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), by)
  const before = process.cpuUsage()
  template.render([{ role: 'user', content: '<t7>'.repeat(5000) }])
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1e6).toBeLessThan(5)
})
