// Grammars in GBNF: what they accept, and what is refused as a grammar.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { accepts, compileLanguage } from '../../../dist/text/constraint/language.js'

const arithmetic = String.raw`
root  ::= (expr "=" ws term "\n")+   # equations, one a line
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*`

const json = readFileSync(new URL('json.gbnf', import.meta.url), 'utf8')

test.each<[name: string, grammar: string, pass: string[], fail: string[]]>([
  ['a literal', 'root ::= "cat"', ['cat'], ['', 'ca', 'cats', 'Cat']],
  ['a choice', 'root ::= "cat" | "dog" | ""', ['cat', 'dog', ''], ['c', 'catdog']],
  ['a choice over lines', 'root ::= "cat" |\n  "dog"', ['cat', 'dog'], ['']],
  ['a group over lines', 'root ::= (\n"a"\n "b"\n|\n"c" )', ['ab', 'c'], ['a']],
  ['a body on the next line, comments, CRLF', 'root ::= # body follows\r\n  a\r\n\r\na ::= "x" # done', ['x'], ['']],
  ['classes', 'root ::= [a-cx-] [^a-c\\n] [\\x41-\\u0043é]', ['adA', '-xB', 'x é', 'cdC'], ['aaA', 'da', 'ad', 'a\nA', 'adD']],
  ['escapes', 'root ::= "\\t\\r\\n\\\\\\"\\[\\]\\x41\\u00e9\\U0001F600"', ['\t\r\n\\"[]Aé😀'], ['\t']],
  ['any character', 'root ::= . .', ['ab', 'é\n', '😀日'], ['a', 'abc', '']],
  ['zero or more', 'root ::= "a"* "b"', ['b', 'ab', 'aaab'], ['a', 'ba']],
  ['one or more', 'root ::= "ab"+', ['ab', 'abab'], ['', 'aba']],
  ['optional', 'root ::= "a"? "b"', ['b', 'ab'], ['aab']],
  ['an exact count', 'root ::= [ab]{4}', ['abab'], ['aba', 'ababa']],
  ['a least count', 'root ::= "a"{2,}', ['aa', 'aaaaa'], ['a']],
  ['counts', 'root ::= "a"{ 1, 3 }', ['a', 'aaa'], ['', 'aaaa']],
  ['a count from nothing', 'root ::= ("ab" | "c"){0,2} "."', ['.', 'ab.', 'cab.'], ['ababab.']],
  ['a repeat of a repeat', 'root ::= ("a"? "b"*){0,3} "c"?', ['', 'abab', 'bbbbc', 'aaa'], ['aaaa', 'ca']],
  ['quantifiers with space before them', 'root ::= "a" + "b" ?', ['a', 'aab'], ['b']],
  ['a recursive rule', 'root ::= "(" root ")" | "x"', ['x', '((x))'], ['(x', 'x)', '()']],
  ['right recursion', 'root ::= "a" root | "b"', ['b', 'aaab'], ['aaa']],
  ['an empty rule', 'root ::= "a" nothing "b"\nnothing ::=', ['ab'], ['a']],
  ['x? forty times', `root ::= ${'"x"? '.repeat(40)}`, ['', 'x'.repeat(40)], ['x'.repeat(41), 'y']],
  ['a rule? forty times', `root ::= ${'p? '.repeat(40)}\np ::= "(" p ")" | "x"`, ['', '(x)x((x))', 'x'.repeat(40)], ['x'.repeat(41), '(x']],
  ['an ambiguous rule', 'root ::= s\ns ::= "a" s s | "a" s | "a"', ['a', 'aaaaaaaaaaaaaaaaaaaa'], ['', 'ab']],
  [
    'arithmetic',
    arithmetic,
    ['42 = 42\n', 'x +y = 3\na=b\n', '(a+b)*2 = c_1\n', '1+2*3 = 7\n'],
    ['42 = 42', '= 1\n', 'x + y = 3\n', '(a = 1\n', '4_2 = 42\n'],
  ],
  [
    'JSON',
    json,
    ['{}', '{"a": [1, -2.5e3, "x\\u00e9\\n"], "b": null}', '{"a":{"b":{}}}'],
    ['[]', '{"a"}', '{"a":01}', '{"a":"\n"}', '{"a":1,}', '{"a":1}}'],
  ],
])('%s', (_, grammar, pass, fail) => {
  const language = compileLanguage({ grammar })
  expect(pass.filter((text) => !accepts(language, text))).toEqual([])
  expect(fail.filter((text) => accepts(language, text))).toEqual([])
})

test.each<[name: string, grammar: string, message: string]>([
  ['no root', 'main ::= "a"', 'no rule root'],
  ['an unknown rule', 'root ::= part', 'uses the rule part but does not define it'],
  ['a rule twice', 'root ::= "a"\nroot ::= "b"', 'a second rule root'],
  ['left recursion', 'root ::= root "a" | "b"', 'left-recursive'],
  ['left recursion through another rule', 'root ::= a\na ::= b "x" | "y"\nb ::= a', 'left-recursive'],
  ['left recursion behind what may be empty', 'root ::= "x"? (("y")* root) | "z"', 'left-recursive'],
  ['a rule without end', 'root ::= "a" root', 'matches no text'],
  ['an open literal', 'root ::= "abc', 'expected " to close the text'],
  ['an open class', 'root ::= [abc', 'expected ] to close the class'],
  ['an open group', 'root ::= ("a"', 'expected )'],
  ['an unknown escape', 'root ::= "\\d"', 'unknown escape \\d'],
  ['hex digits too few', 'root ::= "\\x4"', 'expected 2 hex digits'],
  ['a choice on a line of its own', 'root ::= "a"\n| "b"', 'expected the name of a rule'],
  ['no body', 'root', 'expected ::='],
  ['counts the wrong way', 'root ::= "a"{3,2}', 'a repeat from 3 to 2'],
  ['an empty count', 'root ::= "a"{}', 'expected {m}, {m,} or {m,n}'],
  ['something else', 'root ::= "a" ; "b"', 'expected the end of the line'],
  ['a token without a tokenizer', 'root ::= <[5]>', 'names the token 5'],
])('a grammar with %s is refused', (_, grammar, message) => {
  expect(() => compileLanguage({ grammar })).toThrow(expect.objectContaining({ code: 'OPTION', message: expect.stringContaining(message) }))
})

test('an error names the place', () => {
  expect(() => compileLanguage({ grammar: 'root ::= "a" [z-a]' })).toThrow(
    'the grammar: a range of characters whose end is before its start, at character 17',
  )
})

test('texts nest as deep as the stack has frames, and a state that has no frames left offers what ends', () => {
  const language = compileLanguage({ grammar: 'root ::= "(" root ")" | "x"' })
  const nested = (depth: number) => `${'('.repeat(depth)}x${')'.repeat(depth)}`
  expect([nested(500), nested(600)].map((text) => accepts(language, text))).toEqual([true, false])
})
