import { expect, test } from 'vitest'
import { firstShardPath, shardPaths } from '../../dist/format/gguf/shards.js'
import type { HuggingFaceName } from '../../dist/registry/names/modelName.js'
import { chooseFiles } from '../../dist/registry/names/repositoryFiles.js'

const choose = (files: string[], quantization: string) =>
  chooseFiles(files, { kind: 'huggingface', owner: 'o', repo: 'r', revision: 'main', quantization } satisfies HuggingFaceName)

const spellings = [
  'Mixtral-8x7B-v0.1.Q4_K_M.gguf',
  'mixtral-8x7b-q4_k_m.gguf',
  'mixtral_8x7b_Q4_K_M.gguf',
  'Q4_K_M/mixtral.gguf',
  'Mixtral-8x7B-Q4_K_M/Mixtral-8x7B-Q4_K_M.gguf',
]
const others = ['Q4_K_S', 'Q4_K', 'Q4_0', 'Q5_K_M', 'IQ4_K_M', 'Q4_K_M_L', 'Q8_0', 'F16', 'BF16']

test.each(spellings)('Q4_K_M is %s, among others', (file) => {
  expect(choose([...others.map((other) => `mix.${other}.gguf`), file], 'Q4_K_M')).toEqual([file])
})

test.each(others)('%s is the file of that name, and no other', (quantization) => {
  expect(choose([...others.map((other) => `mix-${other}.gguf`), 'mix-Q4_K_M.gguf'], quantization)).toEqual([`mix-${quantization}.gguf`])
})

test('UD-Q4_K_XL and a word with signs of its own are words too', () => {
  expect(choose(['a-UD-Q4_K_XL.gguf', 'a-Q4_K_M.gguf'], 'UD-Q4_K_XL')).toEqual(['a-UD-Q4_K_XL.gguf'])
  expect(choose(['a-v0.1.gguf', 'a-v001.gguf'], 'v0.1')).toEqual(['a-v0.1.gguf'])
})

test('vision towers and importance matrices are no models', () => {
  expect(choose(['mmproj-model-f16.gguf', 'mix.imatrix.gguf', 'mix-f16.gguf'], 'F16')).toEqual(['mix-f16.gguf'])
})

test.each(['mix-Q4_K_M-00001-of-00003.gguf', 'mix-Q4_K_M-00002-of-00003.gguf', 'mix-Q4_K_M-00003-of-00003.gguf'])(
  'a set without %s is no model',
  (missing) => {
    const files = ['00001', '00002', '00003'].map((n) => `mix-Q4_K_M-${n}-of-00003.gguf`).filter((file) => file !== missing)
    expect(() => choose(files, 'Q4_K_M')).toThrow(`shard ${missing} is missing`)
  },
)

test("a file with a number outside its set stands in nobody's way", () => {
  expect(choose(['a-00003-of-00002.gguf', 'mix-Q4_K_M.gguf'], 'Q4_K_M')).toEqual(['mix-Q4_K_M.gguf'])
})

test('a name of a set larger than any is the name of a file, and costs what its bytes do', () => {
  const sets = Array.from({ length: 5000 }, (_, i) => `m${i}-Q8_0-00001-of-99999.gguf`)
  expect(choose([...sets, 'mix-Q4_K_M.gguf'], 'Q4_K_M')).toEqual(['mix-Q4_K_M.gguf'])
  expect(choose(['mix-Q8_0-00001-of-99999.gguf'], 'Q8_0')).toEqual(['mix-Q8_0-00001-of-99999.gguf'])
  expect(choose(['mix-Q8_0-00002-of-01024.gguf', ...shards(1024)], 'Q8_0')).toEqual(shards(1024))
})

test('a path of a set larger than any is refused where it is opened', () => {
  expect(() => shardPaths('/x/mix-00001-of-01025.gguf')).toThrow('a set of 1025 shards, expected at most 1024')
  expect(firstShardPath('/x/mix-00007-of-01024.gguf')).toBe('/x/mix-00001-of-01024.gguf')
  expect(firstShardPath('/x/mix.gguf')).toBe('/x/mix.gguf')
})

const shards = (count: number) =>
  Array.from({ length: count }, (_, i) => `mix-Q8_0-${String(i + 1).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.gguf`)

test('a model that is there in parts only is said to be so', () => {
  const parts = ['mix.Q8_0.gguf-split-a', 'mix.Q8_0.gguf-split-b']
  const says = 'it has its model in parts, which have to be joined: download mix.Q8_0.gguf-split-a, mix.Q8_0.gguf-split-b'
  expect(() => choose(parts, 'Q8_0')).toThrow(says)
  expect(() => choose([...parts, 'mix.Q4_0.gguf'], 'Q8_0')).toThrow(says)
  expect(choose([...parts, 'mix.Q4_0.gguf'], 'Q4_0')).toEqual(['mix.Q4_0.gguf'])
  const byName = (file: string) =>
    chooseFiles([...parts, 'mix.Q4_0.gguf'], { kind: 'huggingface', owner: 'o', repo: 'r', revision: 'main', file } as HuggingFaceName)
  expect(() => byName('mix.Q8_0.gguf')).toThrow(says)
  expect(byName('mix.Q4_0.gguf')).toEqual(['mix.Q4_0.gguf'])
})
