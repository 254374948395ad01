// What an import of the library loads: the modules that dist/index.js reaches by static imports. What few programs call
// loads its own code when it is called.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const dist = fileURLToPath(new URL('../../dist/', import.meta.url))

function reachedFrom(start: string): Set<string> {
  const reached = new Set([start])
  for (const file of reached) {
    const source = readFileSync(dist + file, 'utf8')
    for (const [, to] of source.matchAll(/^(?:import|export) (?:[^'\n]* from )?'(\.[^']+)';$/gm)) {
      reached.add(path.posix.join(path.posix.dirname(file), to!))
    }
  }
  return reached
}

const reached = [...reachedFrom('index.js')]

test('an import of the library reaches the model, the tokenizer and the sampler', () => {
  for (const file of ['text/generate/mixtralModel.js', 'text/tokenizer/tokenizer.js', 'runtime/sampler/choose.js']) {
    expect(reached).toContain(file)
  }
})

test.each([
  ['constraints', /^text\/constraint\//],
  ['chat templates', /^text\/chat\/.*[tT]emplate/],
  ['checkpoints', /^authoring\/convert\/(?!convert(Adapter)?\.js$|elementType\.js$)/],
  ['the formats of adapters', /^runtime\/adapters\/(?!(adapter|adapterSet|lowRank|placedAdapters)\.js$)/],
  ['the check of the stages', /^evaluation\/verify\/(?!verify\.js$)/],
  ['the command line and the server', /^interfaces\/|^server\.js/],
])('an import of the library does not load %s', (_, room) => {
  expect(reached.filter((file) => room.test(file))).toEqual([])
})

/** The packages that an entry point's static imports ask for, by the files that do. */
function packagesOf(entry: string): string[] {
  const files = [...reachedFrom(entry)]
  const found = files.flatMap((file) =>
    [...readFileSync(dist + file, 'utf8').matchAll(/^(?:import|export) (?:[^'\n]* from )?'([^.'][^']*)';$/gm)].map(([, name]) => name!),
  )
  return [...new Set(found)].filter((name) => !name.startsWith('node:'))
}

test('an import of the library asks for nothing of a framework', () => {
  expect(packagesOf('index.js').filter((name) => /^(ai|@ai-sdk|@langchain)(\/|$)/.test(name))).toEqual([])
})

test('the provider for the AI SDK imports nothing of the SDK, and that for LangChain nothing but its core', () => {
  const ofFrameworks = (entry: string) => packagesOf(entry).filter((name) => /^(ai|@ai-sdk|@langchain|zod)(\/|$)/.test(name))
  expect(ofFrameworks('ai.js')).toEqual([])
  expect(ofFrameworks('langchain.js').filter((name) => !name.startsWith('@langchain/core/'))).toEqual([])
})

test.each(['ai.js', 'langchain.js'])('%s loads no server', (entry) => {
  const own = /^interfaces\/(frameworks\/|server\/(apiError|openai\/(allowedTools|constraints|logprobs|routedExperts))\.js$)/
  expect([...reachedFrom(entry)].filter((file) => file.startsWith('interfaces/') && !own.test(file))).toEqual([])
})
