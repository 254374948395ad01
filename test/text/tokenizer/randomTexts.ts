// Random texts that are hard on a tokenizer: runs of spaces, scripts, emoji, the spellings of special tokens, noise.

import fc from 'fast-check'

const fragments = fc.oneof(
  fc.constantFrom(
    'the',
    'ing',
    'Hello',
    ' world',
    'function',
    'return',
    ' = ',
    '===',
    '{',
    '}',
    '();',
    '//',
    '0',
    '12',
    '3.14',
    '_',
    '-',
    'naïve',
  ),
  fc.constantFrom(' ', '  ', '   ', '        ', '\n', '\n\n', '\r\n', '\t', '\t\t', '\u00a0', '\u200b', '▁', '\0', '\ufeff'),
  fc.constantFrom(
    '漢字',
    '日本語のテキスト',
    'Ελληνικά',
    'русский',
    'العربية',
    'עברית',
    'हिन्दी',
    '한국어',
    '🙂',
    '👩‍👩‍👧‍👦',
    '🇫🇷',
    '𝔘𝔫𝔦',
    '½',
    'ﬁ',
  ),
  fc.constantFrom('[INST]', '[/INST]', '<s>', '</s>', '<unk>', '<0x41>', '<|im_start|>'),
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('a', 'b', 'e', 's', ' ', '▁'), maxLength: 20 }),
)
export const texts = fc.array(fragments, { minLength: 1, maxLength: 24 }).map((parts) => parts.join(''))
