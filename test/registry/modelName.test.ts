import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MixtralError } from '../../dist/base/errors.js'
import { type ModelName, modelNameText, parseModelName } from '../../dist/registry/names/modelName.js'

const ollama = (host: string, namespace: string, model: string, tag: string): ModelName => ({ kind: 'ollama', host, namespace, model, tag })
const hub = (revision: string, rest: { file?: string; quantization?: string }): ModelName => ({
  kind: 'huggingface',
  owner: 'TheBloke',
  repo: 'Mixtral-8x7B-v0.1-GGUF',
  revision,
  ...rest,
})

const names: [text: string, name: ModelName][] = [
  ['demo', { kind: 'demo' }],
  ['mixtral', ollama('registry.ollama.ai', 'library', 'mixtral', 'latest')],
  ['mixtral:8x7b-instruct-v0.1-q4_K_M', ollama('registry.ollama.ai', 'library', 'mixtral', '8x7b-instruct-v0.1-q4_K_M')],
  ['user/model:tag', ollama('registry.ollama.ai', 'user', 'model', 'tag')],
  ['registry.example.com/user/model', ollama('registry.example.com', 'user', 'model', 'latest')],
  ['registry.example.com/model:a', ollama('registry.example.com', 'library', 'model', 'a')],
  ['localhost:5000/user/model:tag', ollama('localhost:5000', 'user', 'model', 'tag')],
  ['127.0.0.1:5000/model', ollama('127.0.0.1:5000', 'library', 'model', 'latest')],
  ['hf.co/TheBloke/Mixtral-GGUF:Q4_K_M', ollama('hf.co', 'TheBloke', 'Mixtral-GGUF', 'Q4_K_M')],
  ['hf:TheBloke/Mixtral-8x7B-v0.1-GGUF/a.Q4_K_M.gguf', hub('main', { file: 'a.Q4_K_M.gguf' })],
  ['hf://TheBloke/Mixtral-8x7B-v0.1-GGUF/Q4/a-00001-of-00002.gguf', hub('main', { file: 'Q4/a-00001-of-00002.gguf' })],
  ['hf:TheBloke/Mixtral-8x7B-v0.1-GGUF@abc123/a.gguf', hub('abc123', { file: 'a.gguf' })],
  ['hf:TheBloke/Mixtral-8x7B-v0.1-GGUF:Q4_K_M', hub('main', { quantization: 'Q4_K_M' })],
  ['hf:TheBloke/Mixtral-8x7B-v0.1-GGUF@v2:Q4_K_M', hub('v2', { quantization: 'Q4_K_M' })],
  ['hf:TheBloke/Mixtral-8x7B-v0.1-GGUF', hub('main', {})],
  ['https://huggingface.co/TheBloke/Mixtral-8x7B-v0.1-GGUF/blob/main/a%20b.gguf?download=true', hub('main', { file: 'a b.gguf' })],
  ['https://example.com/a/b.gguf?x=1#y', { kind: 'url', url: 'https://example.com/a/b.gguf?x=1' }],
  ['https://example.com./b.gguf', { kind: 'url', url: 'https://example.com./b.gguf' }],
  ['http://127.0.0.1:8080/b.gguf', { kind: 'url', url: 'http://127.0.0.1:8080/b.gguf' }],
  ['./mixtral', { kind: 'path', path: './mixtral' }],
  ['/models/mixtral', { kind: 'path', path: '/models/mixtral' }],
  ['models/mixtral.gguf', { kind: 'path', path: 'models/mixtral.gguf' }],
  ['C:\\models\\mixtral', { kind: 'path', path: 'C:\\models\\mixtral' }],
]

test.each(names)('%s is read', (text, name) => {
  expect(parseModelName(text)).toEqual(name)
})

test.each(names.filter(([text]) => !text.includes('?x=1')))('%s is shown so that it reads the same', (text) => {
  const name = parseModelName(text)
  expect(parseModelName(modelNameText(name))).toEqual(name)
})

test('the query of an address is not shown, nor are passwords, and the short name means the same model', () => {
  const shown = modelNameText(parseModelName('https://example.com/a/b.gguf?X-Amz-Signature=SECRET'))
  expect(shown).toMatch(/^https:\/\/example\.com\/a\/b\.gguf\?hidden=[0-9a-f]{16}$/)
  expect(modelNameText(parseModelName(shown))).toBe(shown)
  expect(modelNameText(parseModelName('https://example.com/a/b.gguf?X-Amz-Signature=OTHER'))).not.toBe(shown)
  for (const text of ['https://example.com/a/b.bin?s=SECRET', 'http://example.com/a.gguf?s=SECRET', 'https://me:SECRET@a.com/b.gguf']) {
    expect(() => parseModelName(text)).toThrow(/^(?!.*SECRET).*is no model name/)
  }
})

const bad: [text: string, says: string][] = [
  [`hf:owner/repo/${'a/'.repeat(17)}a.gguf`, 'in 17 folders, expected at most 16'],
  [`hf:owner/repo/${'a/'.repeat(17)}adapter_config.json`, 'in 17 folders, expected at most 16'],
  ['hf:owner/repo/..\\..\\x\\adapter_config.json', 'expected the path of a .gguf file'],
  ['', 'empty'],
  ['a'.repeat(2000), '2000 characters'],
  ['mixtral\n:8x7b', 'control characters'],
  ['mixtral:', 'the tag is ""'],
  [':8x7b', 'the model is ""'],
  ['mixtral:..', 'the tag is ".."'],
  ['mixtral:8x7b:x', 'expected [host/]'],
  ['a/b/c/d', 'expected [host/]'],
  ['user/-model', 'the model is "-model"'],
  ['us.er../model', 'is not a host'],
  ['host.com:99999/a/b', '"host.com:99999" is not a host'],
  ['300.1.1.1/a/b', '"300.1.1.1" is not a host'],
  ['127.999.1.1/a/b:c', '"127.999.1.1" is not a host'],
  ['1.2.3.4.5/a/b', '"1.2.3.4.5" is not a host'],
  ['xn--a.com/a/b', '"xn--a.com" is not a host'],
  ['0x7f.1/a/b', '"0x7f.1" is not a host'],
  ['127.1:80/a/b', '"127.1:80" is not a host'],
  ['https://300.1.1.1/a.gguf', 'cannot be read'],
  ['mixtral\u009b:8x7b', 'control characters'],
  ['hf:owner/repo/a\u202e.gguf', 'control characters'],
  ['hf:owner/repo/a.gguf~lock.1..deadbeef.deadbeef/b.gguf', 'the file is'],
  ['hf:owner/repo/a.gguf.partial/b.gguf', 'the file is'],
  ['hf:owner/repo/a.GGUF.source.json/b.gguf', 'the file is'],
  ['hf:owner/repo/aux.gguf', 'the file is'],
  ['a b/c', 'the namespace is "a b"'],
  ['x/../model', 'the namespace is ".."'],
  [`mixtral@sha256:${'0'.repeat(64)}`, 'digest'],
  ['mixtral:%2e%2e%2fx', 'the tag'],
  ['hf:owner', 'expected hf:owner/repo'],
  ['hf:../repo/a.gguf', 'the owner is ".."'],
  ['hf:owner/re..po/a.gguf', 'the repository is "re..po"'],
  ['hf:owner/repo/../../../etc/a.gguf', 'the file is'],
  ['hf:owner/repo//a.gguf', 'the file is'],
  ['hf:owner/repo/a\\..\\b.gguf', 'the file is'],
  ['hf:owner/repo/readme.md', 'the file is "readme.md"'],
  ['hf:owner/repo@/a.gguf', 'the revision is ""'],
  ['hf:owner/repo@..:Q4_K_M', 'the revision is ".."'],
  ['hf:owner/repo:', 'the quantization is ""'],
  ['http://example.com/a.gguf', 'http:// is not supported'],
  ['ftp://example.com/a.gguf', 'ftp:// is not supported'],
  ['file:///etc/passwd', 'file:// is not supported'],
  ['https://', 'cannot be read'],
  ['https://user:secret@example.com/a.gguf', 'credentials'],
  ['https://../a.gguf', '".." is not a host'],
  ['https://%2e%2e/a.gguf', '".." is not a host'],
  ['https://./a.gguf', '"." is not a host'],
  ['https://.example.com/a.gguf', '".example.com" is not a host'],
  ['https://example..com:81/a.gguf', '"example..com:81" is not a host'],
  ['https://example.com/', '.gguf file'],
  ['https://example.com/..%2f..%2fa.gguf', '.gguf file'],
  ['https://example.com/index.html', '.gguf file'],
  ['https://huggingface.co/owner/repo/resolve/main/..%2f..%2fa.gguf', 'the file is'],
]

test.each(bad)('%j is refused', (text, says) => {
  expect(() => parseModelName(text)).toThrow(MixtralError)
  expect(() => parseModelName(text)).toThrow(says)
})

test('whatever is accepted stays inside its folder', () => {
  const pieces = fc.constantFrom(...'.. . / \\ : @ hf: a b.gguf http:// localhost %2e ~ - \u0000'.split(' '), ' ')
  const text = fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 8 }).map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, (name) => {
      let parsed: ModelName
      try {
        parsed = parseModelName(name)
      } catch (error) {
        expect(error).toBeInstanceOf(MixtralError)
        expect((error as Error).message).not.toMatch(/\n/)
        return
      }
      if (parsed.kind === 'demo' || parsed.kind === 'path' || parsed.kind === 'url') return
      const { kind, ...parts } = parsed
      for (const part of Object.values(parts).flatMap((value) => value.split('/'))) expect(part).not.toMatch(/^\.*$|\\|\0/)
    }),
    { numRuns: 2000, seed: 5 },
  )
})
