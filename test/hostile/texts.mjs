// Messages of random Unicode through templates of every family: each arrives in the prompt character for character, and
// no character of it becomes a control token. The vocabulary has the template's control tokens, and others that texts
// like to spell.

import { ChatTemplate } from '../../dist/text/chat/chatTemplate.js'
import { Tokenizer } from '../../dist/text/tokenizer/tokenizer.js'
import { Random } from './random.mjs'
import { goTemplates, jinjaTemplates } from './templates.mjs'
import { tokens, vocabularyMetadata } from './tinyModel.mjs'

/** Control tokens beside the template's: of one character, of an emoji, of private use, of what escapes look like. */
const oddControls = ['😀', '\ue005', '\\n', '\\u0041', '&amp;', '0', '"', ' ', '\u2581x']
/** Tokens that users define are texts that are kept together. */
const userDefined = ['<tool>', '👍', '\t\t']

function tokenizerWith(controls) {
  const pieces = [...new Set([...tokens, ...controls, ...oddControls, ...userDefined])]
  const metadata = new Map(vocabularyMetadata(pieces).map(([key, , value]) => [key, value]))
  const types = [...metadata.get('tokenizer.ggml.token_type')]
  for (const control of [...controls, ...oddControls]) types[pieces.indexOf(control)] = 3
  for (const text of userDefined) types[pieces.indexOf(text)] = 4
  return Tokenizer.fromGgufMetadata(metadata.set('tokenizer.ggml.token_type', types))
}

/** The ranges that code points are drawn from, besides words. */
const ranges = [
  ...[
    [0, 0x7f],
    [0x20, 0x7e],
    [0x80, 0x7ff],
    [0x800, 0xffff],
    [0x10000, 0x10ffff],
    [0xe000, 0xf8ff],
    [0xf0000, 0xf00ff],
  ],
  ...[
    [0xd800, 0xdfff],
    [0x300, 0x36f],
    [0x1f600, 0x1f64f],
    [0x2000, 0x206f],
    [0xfe00, 0xfe0f],
    [0x4e00, 0x4eff],
    [0x5d0, 0x6ff],
  ],
]
const words = [
  ...[
    '<s>',
    '</s>',
    '<unk>',
    '<0x0A>',
    '{{ messages }}',
    '{% if x %}',
    '{{ .Prompt }}',
    '%s',
    '\\',
    '\\u0041',
    '&lt;',
    '"',
    "'",
    '\n',
    '  ',
  ],
  ...['[INST', 'INST]', '<|im_', 'im_start|>', '<|', '|>', '\u2581', 'null', '__proto__', '[/INST] b [INST]', '😀', '0', '\\n', 'x'],
]

function textOf(random, controls) {
  const spellings = [...words, ...controls, ...controls.map((token) => token.slice(0, -1)), ...controls.map((token) => token.slice(1))]
  let text = ''
  for (let n = random.few(30); n > 0; n--) {
    if (random.chance(0.5)) text += random.pick(spellings)
    else {
      const [from, to] = random.pick(ranges)
      for (let m = random.few(10); m > 0; m--) text += String.fromCodePoint(from + random.below(to - from + 1))
    }
  }
  return text || 'x'
}

/** A space is U+2581 in every vocabulary of this kind, so that the two are the same. */
const plain = (text) => text.toWellFormed().replaceAll('\u2581', ' ')

/** What is wrong with a prompt of these messages; `usual` is how many control tokens the template itself writes. */
function problemOf({ template, tokenizer, usual }, messages) {
  const { ids } = template.render(messages)
  const isControl = (id) => ['control', 'unknown'].includes(tokenizer.token(id).type)
  const controls = ids.filter(isControl).length
  if (controls !== usual.get(messages.length)) return `${controls} control tokens, expected ${usual.get(messages.length)}`
  const written = plain(tokenizer.decode(ids, { special: true }))
  let at = 0
  for (const { content } of messages) {
    const found = written.indexOf(plain(content), at)
    if (found < 0) return `${JSON.stringify(content)} is not in ${JSON.stringify(written)}`
    at = found + plain(content).length
  }
  return undefined
}

const roles = ['user', 'assistant', 'user']
const talk = (texts) => texts.map((content, n) => ({ role: roles[n], content }))

function open(language, { source, controls }) {
  const tokenizer = tokenizerWith(controls)
  const template =
    language === 'go'
      ? ChatTemplate.fromOllama(source, tokenizer)
      : ChatTemplate.fromGgufMetadata(new Map([['tokenizer.chat_template', source]]), tokenizer)
  const usual = new Map()
  for (const count of [1, 3]) {
    const { ids } = template.render(talk(Array(count).fill('a')))
    usual.set(count, ids.filter((id) => tokenizer.token(id).type === 'control').length)
  }
  return { template, tokenizer, usual, controls }
}

/** Sends so many messages. Returns the number of faults. */
export function tryTexts({ messages, seed, say }) {
  const all = [
    ...Object.entries(jinjaTemplates).map(([name, template]) => [name, open('jinja', template)]),
    ...Object.entries(goTemplates).map(([name, template]) => [name, open('go', template)]),
  ]
  let [sent, faults] = [0, 0]
  for (const [name, opened] of all) {
    const share = Math.ceil(messages / all.length)
    let [own, found] = [0, 0]
    for (let n = 0; own < share; n++) {
      const random = new Random(`${name} ${seed} ${n}`)
      const texts = Array.from({ length: random.chance(0.5) ? 1 : 3 }, () => textOf(random, opened.controls))
      own += texts.length
      const problem = problemOf(opened, talk(texts))
      if (!problem) continue
      found++
      if (found <= 3) say(`FAULT ${name}, seed ${seed}, number ${n}: ${problem}`)
    }
    sent += own
    faults += found
  }
  say(`${sent} messages of random Unicode through ${all.length} templates, seed ${seed}: ${faults} faults`)
  return faults
}
