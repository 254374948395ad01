import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { GgufEntry } from '../../../dist/format/gguf/encodeHeader.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { GgufWriter } from '../../../dist/format/gguf/writer.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { type Ended, mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-terminal-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A window title and a clipboard by OSC, colors by C1, delete, a reversed direction, a return to the line's start. */
const evil = '\x1b]0;owned\x07\x1b]52;c;cm0gLXJmIH4=\x07\u009b31m\x7f\u202egnol\r'
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal obeys
const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/
const onTerminal = { nodeFlags: ['--import', 'data:text/javascript,process.stdout.isTTY=true'], env: { NO_COLOR: '1' } }

/** The demo model with other metadata or names of tensors. */
async function rewritten(file: string, change: (entry: GgufEntry) => GgufEntry, tensorName = (name: string) => name): Promise<string> {
  const gguf = await openGguf(demoPath())
  const data = readFileSync(demoPath())
  const metadata = [...gguf.metadata].map(([key, value]) => change([key, gguf.metadataTypes.get(key)!, value]))
  const tensors = [...gguf.tensors.values()].map((tensor) => ({ ...tensor, name: tensorName(tensor.name) }))
  const writer = await GgufWriter.create(join(folder, file), { metadata, tensors })
  for (const { offset, bytes } of tensors) await writer.write(data.subarray(offset, offset + bytes))
  await writer.close()
  return join(folder, file)
}

const withValue = (key: string, value: string) => (entry: GgufEntry) => (entry[0] === key ? ([key, 'string', value] as const) : entry)
let hostile: string
beforeAll(async () => {
  hostile = await rewritten('pieces.gguf', ([key, type, value]) => {
    if (key !== 'tokenizer.ggml.tokens' || !Array.isArray(value)) return [key, type, value]
    return [key, type, value.map((piece, id) => (id < 259 ? piece : `${evil}${id}`))]
  })
})

const expectPlain = ({ stdout, stderr }: Ended) => {
  expect(stdout + stderr).not.toBe('')
  expect(stdout).not.toMatch(obeyed)
  expect(stderr).not.toMatch(obeyed)
}

test('text of a model cannot drive the terminal that it is written to', async () => {
  const ended = await mixtral(['run', hostile, 'hi', '-n', '6', '--temperature', '0'], onTerminal)
  expect(ended.stdout).toContain('\\u001b]0;owned\\u0007')
  expectPlain(ended)
  const chat = await mixtral(['chat', hostile, '-n', '6', '--temperature', '0'], { ...onTerminal, input: 'hi\n' })
  expect(chat.stdout).toContain('\\u001b]52;')
  expectPlain(chat)
})

test('a pipe gets the text of a model as it is', async () => {
  const { stdout } = await mixtral(['run', hostile, 'hi', '-n', '6', '--temperature', '0'])
  expect(stdout).toContain(evil)
  const json = await mixtral(['run', hostile, 'hi', '-n', '6', '--temperature', '0', '--json'])
  expectPlain(json)
  expect(JSON.parse(json.stdout).text).toContain(evil)
})

const template = withValue('tokenizer.chat_template', `{% broken ${evil}`)
test.each([
  ['the architecture', withValue('general.architecture', `x${evil}`), undefined, ['inspect', 'run']],
  ['a template', template, undefined, ['show', 'chat']],
  ['a key', ([key, type, value]: GgufEntry): GgufEntry => [key === 'general.name' ? `a${evil}` : key, type, value], undefined, ['inspect']],
  [
    'a tensor',
    (entry: GgufEntry) => entry,
    (name: string) => (name === 'output_norm.weight' ? `blk.0.${evil}` : name),
    ['inspect', 'verify'],
  ],
] as const)('%s of a file is escaped wherever it is shown, and the name of the file', async (_, change, tensorName, commands) => {
  const file = await rewritten(`x${evil.replaceAll('/', '')}.gguf`, change, tensorName)
  for (const command of commands) {
    expectPlain(await mixtral([command, file, ...(command === 'inspect' ? ['--tensors'] : [])], { ...onTerminal, input: 'hi\n' }))
    expectPlain(await mixtral([command, file, command === 'chat' ? '--debug' : '--json'], { ...onTerminal, input: 'hi\n' }))
  }
})

test('a name that is no model is escaped', async () => {
  for (const args of [
    ['rm', `${evil}:x`],
    ['tokenize', `./${evil}`, 'hi'],
  ])
    expectPlain(await mixtral(args))
})

test('a log in the store cannot name a model what a terminal obeys', async () => {
  const home = join(folder, 'home')
  mkdirSync(join(home, 'url/x'), { recursive: true })
  for (const [n, model] of [evil, 'mixtral:8x7b', 7].entries()) {
    writeFileSync(join(home, `url/x/${n}.gguf.partial`), '')
    writeFileSync(join(home, `url/x/${n}.gguf.partial.log`), `${JSON.stringify({ bytes: 10, identity: 'i', model })}\n`)
  }
  const env = { MIXTRAL_HOME: home, OLLAMA_MODELS: join(folder, 'none'), HF_HUB_CACHE: join(folder, 'none') }
  const ended = await mixtral(['list'], { env })
  expectPlain(ended)
  expect(ended.stdout).toBe('mixtral:8x7b  0 bytes  of 10 bytes, unfinished\n')
})
