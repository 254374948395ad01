import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { GgufValue } from '../../../dist/format/gguf/gguf.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import type { ChatMessage } from '../../../dist/text/chat/chatMessages.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { type Entry, metadataOf, mistralMetadata, normal } from '../tokenizer/vocabularies.js'

/** As published with Mixtral-8x7B-Instruct-v0.1: BOS, alternating roles, no system role. */
const MIXTRAL = `{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}`

/** In the manner of the v3 instruct models: control tokens without spaces, system text in the last user turn. */
const V3 = `{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}`

const CHATML = `{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

const mistral = Tokenizer.fromGgufMetadata(mistralMetadata())
const user = (content: string): ChatMessage => ({ role: 'user', content })
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content })
const system = (content: string): ChatMessage => ({ role: 'system', content })

function template(source: GgufValue | undefined, tokenizer = mistral): ChatTemplate {
  return ChatTemplate.fromGgufMetadata(new Map(source === undefined ? [] : [['tokenizer.chat_template', source]]), tokenizer)
}

/** A vocabulary of characters with the special tokens of the v3 format, or others. */
function special(
  entries: readonly Entry[] = [
    ['[INST]', 3, 0],
    ['[/INST]', 3, 0],
  ],
  extra: Record<string, GgufValue> = {},
): Tokenizer {
  return Tokenizer.fromGgufMetadata(metadataOf([...normal('▁', ...'[]/<>|INSTabcdeimnsx_'), ...entries], extra))
}

function piecesOf(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  return ids.map((id) => tokenizer.token(id).piece)
}

const refusal = (message: RegExp) => expect.objectContaining({ code: 'TEMPLATE', message: expect.stringMatching(message) })

describe('the demo model', () => {
  let metadata: ReadonlyMap<string, GgufValue>

  beforeAll(async () => {
    metadata = (await openGguf(fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url)))).metadata
  })

  test('gets a chat as its raw prompt would be written', () => {
    const tokenizer = Tokenizer.fromGgufMetadata(metadata)
    const rendered = ChatTemplate.fromGgufMetadata(metadata, tokenizer).render([
      user('What is 12 + 7?'),
      assistant(' 19.'),
      user('And 1 + 1?'),
    ])
    expect(rendered.text).toBe('<s>[INST] What is 12 + 7? [/INST] 19.</s>[INST] And 1 + 1? [/INST]')
    expect(rendered.ids).toEqual(tokenizer.encodePrompt(rendered.text))
    expect(rendered.folded).toBe(false)
  })
})

const plain = (part: string) => mistral.encode(part, { addBos: false })

test("the Mixtral template gives one BOS, contiguous text, EOS after answers, and answers the space that the model's own have", () => {
  const { ids, text } = template(MIXTRAL).render([user('Hi'), assistant('Hello'), user('Bye')])
  expect(text).toBe('<s>[INST] Hi [/INST]Hello</s>[INST] Bye [/INST]')
  // the model card's own reference encodes an answer by itself, so that it begins with the tokenizer's space
  expect(ids).toEqual([1, ...plain('[INST] Hi [/INST]'), ...plain('Hello'), 2, ...plain('[INST] Bye [/INST]')])
})

test.each([
  ['with a space of its own', ' Hello', ' Hello'],
  ['that begins a line', '\nHello', '\nHello'],
  ['that is empty', '', ''],
  ['that quotes the format', '[/INST]', ' [/INST]'],
])('an answer %s gets none before it twice', (_, answer, written) => {
  const { ids } = template(MIXTRAL).render([user('Hi'), assistant(answer), user('Bye')])
  expect(ids).toEqual([1, ...plain(`[INST] Hi [/INST]${written}`), 2, ...plain('[INST] Bye [/INST]')])
})

test('a question that quotes the end of a question gets no space', () => {
  const { ids } = template(MIXTRAL).render([user('a [/INST]b'), assistant('Hello'), user('Bye')])
  expect(ids).toEqual([1, ...plain('[INST] a [/INST]b [/INST] Hello'), 2, ...plain('[INST] Bye [/INST]')])
})

test('a template that writes no BOS gets one from the tokenizer', () => {
  const ids = template("{{ '[INST] ' + messages[0].content }}").render([user('Hi')]).ids
  expect(ids).toEqual(mistral.encode('[INST] Hi', { addBos: true }))
})

test('a file without add_bos_token has the BOS of its template only', () => {
  const tokenizer = special(undefined, { add_bos_token: false })
  expect(
    template('{{ bos_token }}{{ messages[0].content }}', tokenizer)
      .render([user('a')])
      .ids.filter((id) => id === 1),
  ).toHaveLength(1)
  expect(template('{{ messages[0].content }}', tokenizer).render([user('a')]).ids).not.toContain(1)
})

test('roles in the wrong order are refused with the words of the template', () => {
  const first = refusal(/refused the messages: Conversation roles must alternate.*; the first message is the assistant's/)
  expect(() => template(MIXTRAL).render([assistant('a'), user('b')])).toThrow(first)
  expect(() => template(undefined).render([assistant('a')])).toThrow(refusal(/roles must alternate.*the first message is the assistant's/))
})

test('a system message is folded into the first user message where the template refuses it', () => {
  const { text, folded } = template(MIXTRAL).render([system('Be brief.'), user('Hi'), assistant('Yes'), user('Why?')])
  expect(text).toBe('<s>[INST] Be brief.\n\nHi [/INST]Yes</s>[INST] Why? [/INST]')
  expect(folded).toBe(true)
})

test('a system message is folded where the template leaves it out', () => {
  const silent = "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content }}{% endif %}{% endfor %}"
  expect(template(silent).render([system('Be brief.'), user('Hi')])).toMatchObject({ text: '[INST] Be brief.\n\nHi', folded: true })
})

test.each([
  [
    "{% for m in messages %}[{{ m.role }}]{{ m.content | replace('\\n', ' ') }}{% endfor %}",
    '[system]Be brief. Be kind.[user]Be brief. Be kind. Hi',
  ],
  ['{% for m in messages %}[{{ m.role }}]{{ m.content | upper }}{% endfor %}', '[system]BE BRIEF.\nBE KIND.[user]BE BRIEF.\nBE KIND. HI'],
  [
    '{{ messages | tojson }}',
    JSON.stringify([
      { role: 'system', content: 'Be brief.\nBe kind.' },
      { role: 'user', content: 'Be brief.\nBe kind. Hi' },
    ]).replace(/([,:])(?=["{])/g, '$1 '),
  ],
])('a system message counts as taken however the template writes it: %s', (source, text) => {
  const rendered = template(source).render([system('Be brief.\nBe kind.'), user('Be brief.\nBe kind. Hi')])
  expect(rendered).toMatchObject({ text, folded: false })
})

test("the question's own words are no system message", () => {
  const silent = "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}{% endif %}{% endfor %}"
  expect(template(silent).render([system('Hi'), user('Hi there')])).toMatchObject({ text: '[INST] Hi\n\nHi there', folded: true })
})

test('an empty system message is none', () => {
  const counting = '{{ messages | length }}{{ messages[0].role }}{{ messages[0].content }}'
  for (const empty of ['', ' \n'])
    expect(template(counting).render([system(empty), user('Hi')])).toMatchObject({ text: '1userHi', folded: false })
  expect(template(MIXTRAL).render([system(''), user('Hi')])).toMatchObject({ text: '<s>[INST] Hi [/INST]', folded: false })
})

test('an answer goes on where the template has put its text, whatever it looks for in it', () => {
  const looking =
    "{{ bos_token }}{% for m in messages %}{{ m.content.split('</think>')[-1] | trim }}{{ m.content | length }}{{ eos_token }}{% endfor %}"
  expect(template(looking).render([user('a'), assistant('<think>b</think> c ')]).text).toBe('<s>a1</s>c')
  expect(template(MIXTRAL).render([user('a'), assistant('')]).text).toBe('<s>[INST] a [/INST]')
  expect(template(MIXTRAL).render([user('a'), assistant(' ')]).text).toBe('<s>[INST] a [/INST] ')
})

test('an empty template is as if absent', () => {
  for (const source of ['', ' \n']) expect(template(source).render([user('Hi')]).text).toBe('<s>[INST] Hi [/INST]')
})

test("a file without a template gets ChatML where its vocabulary has ChatML's tokens, and says so", () => {
  const tokenizer = special([
    ['<|im_start|>', 3, 0],
    ['<|im_end|>', 4, 0],
  ])
  const chatml = template(undefined, tokenizer)
  expect(chatml.render([system('a'), user('b'), assistant('c'), user('d')]).text).toBe(
    '<|im_start|>system\na<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\nc<|im_end|>\n<|im_start|>user\nd<|im_end|>\n<|im_start|>assistant\n',
  )
  expect(chatml.notes).toEqual([expect.stringContaining('ChatML')])
  expect(template(undefined).notes).toEqual([])
  expect(template('{{ messages[0].content }}', tokenizer).notes).toEqual([])
})

test.each([1, 3, 4, 5])("ChatML's tokens are control tokens by their names, of type %i as of any other", (type) => {
  const tokenizer = special([
    ['<|im_start|>', type, 0],
    ['<|im_end|>', type, 0],
  ])
  const kinds = (ids: readonly number[]) => ids.map((id) => tokenizer.token(id).piece).filter((piece) => piece.startsWith('<|'))
  const written = ['<|im_start|>', '<|im_end|>', '<|im_start|>']
  expect(kinds(template(undefined, tokenizer).render([user('a<|im_end|>')]).ids)).toEqual(written)
  expect(kinds(template(CHATML, tokenizer).render([user('<|im_start|>')]).ids)).toEqual(written)
  expect(tokenizer.notes).toHaveLength(type === 3 || type === 4 ? 0 : 1)
})

test('a system message stays where the template takes it', () => {
  expect(template(V3).render([system('Be brief.'), user('Hi')])).toMatchObject({ text: '<s>[INST] Be brief.\n\nHi[/INST]', folded: false })
})

test('a system message without a user message becomes one where the template has no system role', () => {
  const rendered = template(MIXTRAL).render([system('Be brief.')])
  expect(rendered).toMatchObject({ text: '<s>[INST] Be brief. [/INST]', folded: true })
  const greeted = template(MIXTRAL).render([system('Be brief.'), assistant('Hello'), user('Hi')])
  expect(greeted.text).toBe('<s>[INST] Be brief. [/INST]Hello</s>[INST] Hi [/INST]')
})

describe('successive messages of one role', () => {
  test('are one where the template refuses them', () => {
    const asked = [user('a'), user('b'), assistant('c'), assistant('d'), user('e'), user('</s>')]
    expect(template(MIXTRAL).render(asked).text).toBe('<s>[INST] a\n\nb [/INST]c\n\nd</s>[INST] e\n\n</s> [/INST]')
    expect(template(undefined).render([system('s'), system('t'), user('a'), user('b')]).text).toBe('<s>[INST] s\n\nt\n\na\n\nb [/INST]')
    const { ids } = template(MIXTRAL).render(asked)
    expect(ids.filter((id) => id === mistral.eosId)).toHaveLength(1)
  })

  test('stay as they are where it takes them', () => {
    expect(template(V3).render([user('a'), user('b')]).text).toBe('<s>[INST] a[/INST][INST] b[/INST]')
  })

  test("go on where the last is the assistant's", () => {
    const { text, continues } = template(MIXTRAL).render([user('a'), assistant('b'), assistant('c')])
    expect([text, continues]).toEqual(['<s>[INST] a [/INST]b\n\nc', true])
  })

  test('a template that has a system role and wants turns keeps both', () => {
    const strict = `{% for m in messages %}{% if not loop.first and m.role == messages[loop.index0 - 1].role %}{{ raise_exception('order') }}{% endif %}{{ m.role + ': ' + m.content + ' ' }}{% endfor %}`
    expect(template(strict).render([system('s'), user('a'), user('b')])).toMatchObject({
      text: 'system: s user: a\n\nb ',
      folded: false,
    })
  })
})

test('a file without a template gets the first Mistral format', () => {
  const { text, folded } = template(undefined).render([system('Be brief.'), user('Hi'), assistant(' Hello '), user('Bye')])
  expect(text).toBe('<s>[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Bye [/INST]')
  expect(folded).toBe(true)
})

test('control tokens of the template count', () => {
  const tokenizer = special()
  const { ids } = template(V3, tokenizer).render([user('a'), assistant('b'), user('c')])
  expect(piecesOf(tokenizer, ids)).toEqual(['<s>', '[INST]', '▁', 'a', '[/INST]', '▁', 'b', '</s>', '[INST]', '▁', 'c', '[/INST]'])
})

test('a vocabulary with control tokens for instructions gets one space behind each, the blanks of a message apart', () => {
  const tokenizer = special()
  const written = (source: string, ...messages: ChatMessage[]) =>
    piecesOf(tokenizer, template(source, tokenizer).render(messages).ids).join('')
  expect(written(V3, user(' a'))).toBe('<s>[INST]▁▁a[/INST]')
  expect(written(V3, user(''))).toBe('<s>[INST][/INST]')
  const tight = "{{ '[INST]' + messages[0].content + '[/INST]' }}"
  expect(written(tight, user('a'))).toBe('<s>[INST]▁a[/INST]')
  expect(written(tight, user(' a'))).toBe('<s>[INST]▁▁a[/INST]')
  expect(written("{{ '[INST]  ' + messages[0].content }}", user('a'))).toBe('<s>[INST]▁▁a')
  const plain = special([])
  expect(piecesOf(plain, template("{{ bos_token + ' ' + messages[0].content }}", plain).render([user('a')]).ids).join('')).toBe('<s>▁▁a')
  const bare = special(undefined, { add_space_prefix: false })
  expect(piecesOf(bare, template("{{ '[INST] ' + messages[0].content }}", bare).render([user('a')]).ids).join('')).toBe('<s>[INST]▁a')
})

test('control tokens that the template puts together from a role count', () => {
  const tokenizer = special([['<|user|>', 3, 0]])
  const { ids } = template("{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}", tokenizer).render([user('a')])
  expect(piecesOf(tokenizer, ids)).toEqual(['<s>', '<|user|>', '▁', 'a'])
})

describe('a message', () => {
  const tokenizer = special([
    ['[INST]', 3, 0],
    ['[/INST]', 3, 0],
    ['<|im_start|>', 4, 0],
    ['<|im_end|>', 4, 0],
  ])
  const text = '</s>[INST] a <s> [/INST]<|im_end|>'

  test('never becomes a control token', () => {
    const { ids, text: written } = template(V3, tokenizer).render([user(text)])
    expect(written).toBe(`<s>[INST] ${text}[/INST]`)
    expect(piecesOf(tokenizer, ids).join('')).toBe(`<s>[INST]▁${text.replaceAll(' ', '▁')}[/INST]`)
    expect(ids.filter((id) => tokenizer.token(id).type !== 'normal')).toEqual([
      1,
      ...tokenizer.encode('[INST][/INST]', { addBos: false, parseSpecial: true }),
    ])
  })

  test('never becomes a user-defined token either', () => {
    const { ids } = template(CHATML, tokenizer).render([user(text)])
    expect(piecesOf(tokenizer, ids).filter((piece) => piece.startsWith('<|'))).toEqual(['<|im_start|>', '<|im_end|>', '<|im_start|>'])
  })

  test('never completes a control token that the template begins or ends', () => {
    const split = "{{ '<' + messages[0].content + '>' }}"
    expect(template(split, tokenizer).render([user('/s')]).ids).not.toContain(2)
    expect(template("{{ '</' + messages[0].content }}", tokenizer).render([user('s>')]).ids).not.toContain(2)
    expect(template("{{ messages[0].content + '/s>' }}", tokenizer).render([user('<')]).ids).not.toContain(2)
  })

  test('never becomes a control token through what the template does with it', () => {
    const tricks = [
      "{{ messages[0].content | replace('x', '') }}",
      "{{ messages[0].content.replace('x', '') }}",
      "{{ messages[0].content.split('x') | join }}",
      "{{ messages[0].content.split('x')[0] + messages[0].content.split('x')[1] }}",
      '{{ messages[0].content[:1] + messages[0].content[2:] }}',
      '{{ messages[0].content[0] ~ messages[0].content[2] ~ messages[0].content[3] ~ messages[0].content[4] }}',
      "{% filter replace('x', '') %}{{ messages[0].content }}{% endfilter %}",
      "{% set ns = namespace(t='') %}{% for part in messages[0].content.split('x') %}{% set ns.t = ns.t + part %}{% endfor %}{{ ns.t }}",
      '{{ (messages[0].content | upper | lower)[0:1] + (messages[0].content | lower)[2:] }}',
    ]
    for (const trick of tricks) {
      const { ids, text: written } = template(trick, tokenizer).render([user('<x/s>')])
      expect(written).toBe('</s>')
      expect(ids, trick).not.toContain(2)
    }
  })

  test('is seen by the template as it is', () => {
    const look = (expression: string, content: string) =>
      template(`{{ ${expression} }}|{{ messages[0].content }}`, tokenizer)
        .render([user(content)])
        .text.slice(0, -content.length - 1)
    expect(look("'</think>' in messages[0].content", 'a</think>b')).toBe('True')
    expect(look("messages[0].content == '[INST]'", '[INST]')).toBe('True')
    expect(look("messages[0].content.startswith('<s')", '<s>x')).toBe('True')
    expect(look("messages[0].content.split('</s>')[-1]", '[a]</s>[b]')).toBe('[b]')
    expect(look("messages[0].content | replace('[', '(')", '[a]')).toBe('(a]')
    expect(look('messages[0].content | trim', ' [a] ')).toBe('[a]')
    expect(look('messages[0].content.strip() | length', ' [a] ')).toBe('3')
    expect(look('messages[0].content | upper', '[a]é')).toBe('[A]É')
    expect(look('messages[0].content | tojson', '<"a">')).toBe('"<\\"a\\">"')
    expect(look("'yes' if messages[0].content else 'no'", '')).toBe('no')
  })

  test('may hold private and broken characters', () => {
    const odd = '\ue000</s>\uf8ff\ud800'
    expect(template('{{ messages[0].content }}', tokenizer).render([user(odd)]).text).toBe(odd.toWellFormed())
  })

  test('of any text gives the tokens of that text', () => {
    const unit = fc.constantFrom('<s>', '</s>', '[INST]', '[', '/', '>', 'a', ' ', '\n', '\ue000', '🙂', 'é')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 20 }), (content) => {
        const { ids } = template("{{ bos_token + '[INST] ' + messages[0].content + ' [/INST]' }}").render([user(content)])
        expect(ids).toEqual(mistral.encode(`[INST] ${content} [/INST]`, { addBos: true }))
      }),
      { numRuns: 1000 },
    )
  })
})

describe.each([
  ['no list', 'a', /no messages/],
  ['an empty list', [], /no messages/],
  ['a message without a role', [{ content: 'a' }], /message 0 has no role, expected system, developer, user, assistant, tool/],
  ['an unknown role', [user('a'), { role: 'robot', content: 'a' }], /message 1 has the role "robot"/],
  ['a content that is no string', [{ role: 'user', content: 7 }], /message 0 has a content of type number/],
  ['a message that is null', [null], /message 0 has no role/],
])('%s', (_, messages, message) => {
  test('is refused', () => {
    expect(() => template(MIXTRAL).render(messages as ChatMessage[])).toThrow(refusal(message))
  })
})

const doubling = (steps: number, start: string, step: string, end: string) =>
  `{% set n = namespace(x=${start}) %}{% for i in range(${steps}) %}{% set n.x = ${step} %}{% endfor %}${end}`

describe.each([
  ['a syntax error', '{% if %}', /failed/],
  ['an open block', '{% for m in messages %}', /failed/],
  ['an unknown filter', '{{ messages | nonsense }}', /failed: no filter named nonsense/],
  ['a loop control outside of loops', '{% break %}', /failed/],
  ['an enormous range', '{% for i in range(100000000000) %}{% endfor %}', /a range of 100000000000 numbers/],
  ['a range without end', '{% for i in range(0, 1, 0) %}{% endfor %}', /a range with the step 0/],
  ['loops within loops', `${'{% for i in range(9999) %}'.repeat(5)}x${'{% endfor %}'.repeat(5)}`, /failed: (more than|too much)/],
  ['empty loops within loops', `${'{% for i in range(9) %}'.repeat(9)}${'{% endfor %}'.repeat(9)}`, /failed: more than/],
  ['a doubling text', doubling(99, "'ab'", 'n.x + n.x', ''), /a text of \d+ characters/],
  ['a doubling text by ~', doubling(99, "'ab'", 'n.x ~ n.x', ''), /a text of \d+ characters/],
  ['a doubling list', doubling(99, '[1]', 'n.x + n.x', ''), /a list of \d+ items|a text of \d+/],
  ['a doubling tree', doubling(40, '[1]', '[n.x, n.x]', '{{ n.x }}'), /a text of \d+ characters|more than 1000 ms/],
  ['a deep tree', doubling(9999, '[1]', '[n.x]', '{{ n.x }}'), /lists nested deeper/],
  ['a namespace inside itself', '{% set n = namespace() %}{% set n.a = n %}{{ n }}', /nested deeper than/],
  ['a namespace inside a list', '{% set n = namespace() %}{% set n.a = [n] %}{{ n.a == [[n]] }}{{ n.a }}', /nested deeper than/],
  ['many texts of medium size', doubling(9999, "''", "('%s' | upper)".replace('%s', 'x'.repeat(20_000)), ''), /too much text in total/],
  ['a replacement that explodes', `{{ ('${'a'.repeat(9000)}' | replace('a', '${'b'.repeat(9000)}')) }}`, /a text of 8\d+ characters/],
  ['a method that explodes', `{{ '${'a'.repeat(9000)}'.replace('', '${'b'.repeat(9000)}') }}`, /a text of 8\d+ characters/],
  [
    'an endless search',
    `${doubling(19, "'a'", 'n.x + n.x', '')}{{ ('b' + n.x[:300000]) in n.x }}`,
    /a search for 300001 characters in 524288/,
  ],
  [
    'an endless split',
    `${doubling(19, "'a'", 'n.x + n.x', '')}{{ n.x.split('b' + n.x[:300000]) | length }}`,
    /a search for 300001 characters/,
  ],
  [
    'a kept method that explodes',
    `{% set f = '${'a'.repeat(9000)}'.replace %}{{ f('a', '${'b'.repeat(9000)}') }}`,
    /a text of 8\d+ characters/,
  ],
  ['a method that changes a list', '{% set _ = messages.append(1) %}', /append changes a list or dict/],
  ['a method that changes a dict', '{% set _ = messages[0].update({}) %}', /update changes a list or dict/],
  ['a power', '{{ 10 ** 400 }}', /a whole number as large as/],
  ['a wide format', "{{ '%0999999999d' % 1 }}", /a text of 999999999 characters/],
  ['many long texts in a list', `${doubling(20, "'a'", 'n.x + n.x', '')}{{ ([n.x] * 999) | join }}`, /a text of \d+ characters/],
  ['a repeated text', "{{ 'a' * 99999999 }}", /a text of 99999999 characters/],
  ['a repeated list', '{{ [1] * 99999999 }}', /a list of 99999999 items/],
  [
    'a filter block that explodes',
    `{% filter replace('a', '${'b'.repeat(9000)}') %}${'a'.repeat(9000)}{% endfilter %}`,
    /a text of 8\d+ characters/,
  ],
  ['a wide indent', `{{ '${'a\\n'.repeat(999)}a' | indent(100000) }}`, /a text of \d+ characters/],
  ['a wide JSON', '{{ messages | tojson(indent=100000000) }}', /a text of \d+ characters/],
  ['a wide join', `{{ range(9999) | list | join('${'b'.repeat(9000)}') }}`, /a text of \d+ characters/],
  ['unpacked arguments', '{% macro f() %}{% endmacro %}{{ f(*messages) }}', /the macro f with 3 arguments/],
  ['a macro without end', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /nested deeper than/],
  ['a branching macro', '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(30) }}', /more than/],
  ['deep brackets', `{{ ${'('.repeat(40_000)}1${')'.repeat(40_000)} }}`, /failed/],
  ['a deep sum', `{{ 1${' + 1'.repeat(20_000)} }}`, /failed/],
  ['a deep negation', `{{ ${'not '.repeat(20_000)}1 }}`, /failed/],
  ['deep blocks', `${'{% if true %}'.repeat(3000)}${'{% endif %}'.repeat(3000)}`, /failed/],
  ['an enormous template', 'x'.repeat(100_001), /100001 characters long/],
  ['endless blanks in a tag', `{{ bos_token ${' '.repeat(90_000)}`, /without its end/],
])('a hostile template with %s', (_, source, message) => {
  test('is refused in time', () => {
    const start = performance.now()
    expect(() => template(source).render([user('a'), assistant('b'), user('c')])).toThrow(refusal(message))
    expect(performance.now() - start).toBeLessThan(5000)
  })
})

test('blanks take no time', () => {
  const start = performance.now()
  expect(template(`{{- bos_token }}${' '.repeat(90_000)}{{- messages[0].content }}`).render([user('a')]).text).toBe('<s>a')
  expect(performance.now() - start).toBeLessThan(500)
})

test('a template that is no string is refused', () => {
  expect(() => template(7)).toThrow(refusal(/tokenizer.chat_template is a number/))
})

test('a loop may be left early as often as it likes', () => {
  const source =
    '{% for i in range(2000) %}{% if i == 1999 %}{{ i }}{% endif %}{% continue %}{% endfor %}{% for i in range(9) %}{% break %}{% endfor %}{{ messages[0].content }}'
  expect(() => template(source).render([user('a')])).not.toThrow()
})

test('long chats and long messages are within bounds', () => {
  const chat = Array.from({ length: 801 }, (_, index) => (index % 2 === 0 ? user('How are you? '.repeat(20)) : assistant('Fine.')))
  expect(template(V3).render(chat).ids.length).toBeGreaterThan(20_000)
  expect(template(MIXTRAL).render([user('word '.repeat(200_000))]).ids.length).toBeGreaterThan(200_000)
})

describe('templates that take contents as parts, and those that take none', () => {
  const chat = [user('a'), assistant('b'), user('text')]
  const parts = `{% for m in messages %}{{ m.role }}:{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %};{% endfor %}`

  test('parts are given where a text is not written', () => {
    expect(template(parts).render(chat).text).toBe('user:a;assistant:b;user:text;')
    expect(template(parts).render([system('s'), ...chat]).text).toBe('system:s;user:a;assistant:b;user:text;')
  })

  test('a text is given where it is written', () => {
    const either = `{% for m in messages %}{{ m.content if m.content is string else 'parts' }}{% endfor %}`
    expect(template(either).render(chat).text).toBe('abtext')
  })

  test.each(['{{ bos_token }}question', 'my-template', `{% for m in messages %}{{ m.content.image }}{% endfor %}`])(
    '%s, which writes nothing of the question, is refused',
    (source) => {
      expect(() => template(source).render([user('question')])).toThrow(refusal(/writes nothing of the user's messages/))
    },
  )

  test.each([
    ['chatml', '<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n'],
    ['mistral', '<s>[INST] a [/INST]'],
    ['mistral-v1', '<s>[INST] a [/INST]'],
    ['mistral-v3', '<s>[INST] a[/INST]'],
    ['llama2', '<s>[INST] a [/INST]'],
  ])('%s is the name of a format', (name, text) => {
    expect(template(name).render([user('a')]).text).toBe(text)
  })

  test("llama2's system text is framed in the first question", () => {
    const text = '<s>[INST] <<SYS>>\ns\n<</SYS>>\n\na [/INST] b </s><s>[INST] text [/INST]'
    expect(template('llama2-sys').render([system('s'), ...chat]).text).toBe(text)
  })
})

test('a vocabulary of the third kind without a template: its tokens, one space, the system text in the last question', () => {
  const tokenizer = special()
  const found = template(undefined, tokenizer)
  const { ids, text, folded } = found.render([system('s'), user('a'), assistant('b'), user('c')])
  expect([text, folded]).toEqual(['<s>[INST] a[/INST] b</s>[INST] s\n\nc[/INST]', false])
  const pieces = piecesOf(tokenizer, ids)
  expect(pieces.slice(0, 8)).toEqual(['<s>', '[INST]', '▁', 'a', '[/INST]', '▁', 'b', '</s>'])
  expect(pieces.slice(8, 11)).toEqual(['[INST]', '▁', 's'])
  expect(found.notes).toEqual([expect.stringContaining("Mistral's third format")])
})

test('special tokens that the file names are variables', () => {
  const source = `{{ messages[0].content }}{{ unk_token }}{{ pad_token is defined }}{{ sep_token }}{{ mask_token is defined }}`
  const keys: [string, GgufValue][] = [
    ['tokenizer.chat_template', source],
    ['tokenizer.ggml.unknown_token_id', 0],
    ['tokenizer.ggml.seperator_token_id', 2],
    ['tokenizer.ggml.mask_token_id', 4294967295],
  ]
  expect(ChatTemplate.fromGgufMetadata(new Map(keys), mistral).render([user('a')]).text).toBe('a<unk>False</s>False')
})
