import { expect, test } from 'vitest'
import type { HuggingFaceName } from '../../dist/registry/names/modelName.js'
import { chooseGgufFiles } from '../../dist/registry/names/repositoryFiles.js'

const choose = (files: string[], quantization: string) =>
  chooseGgufFiles(files, { kind: 'huggingface', owner: 'o', repo: 'r', revision: 'main', quantization } satisfies HuggingFaceName)

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

test('a model that is there in parts only is said to be so', () => {
  const parts = ['mix.Q8_0.gguf-split-a', 'mix.Q8_0.gguf-split-b']
  const says = 'it has its model in parts, which have to be joined: download mix.Q8_0.gguf-split-a, mix.Q8_0.gguf-split-b'
  expect(() => choose(parts, 'Q8_0')).toThrow(says)
  expect(() => choose([...parts, 'mix.Q4_0.gguf'], 'Q8_0')).toThrow(says)
  expect(choose([...parts, 'mix.Q4_0.gguf'], 'Q4_0')).toEqual(['mix.Q4_0.gguf'])
  const byName = (file: string) =>
    chooseGgufFiles([...parts, 'mix.Q4_0.gguf'], { kind: 'huggingface', owner: 'o', repo: 'r', revision: 'main', file } as HuggingFaceName)
  expect(() => byName('mix.Q8_0.gguf')).toThrow(says)
  expect(byName('mix.Q4_0.gguf')).toEqual(['mix.Q4_0.gguf'])
})
