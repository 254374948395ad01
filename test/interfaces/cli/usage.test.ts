// The answer of the command to wrong arguments and files: one line on stderr, nothing on stdout, exit code 2 for wrong
// usage and 1 for a failure.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { meantSlash } from '../../../src/interfaces/cli/nearFlags.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { main, mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-usage-'))
afterAll(() => rmSync(folder, { recursive: true }))
const textFile = join(folder, 'notes.gguf')
writeFileSync(textFile, 'no model at all')

const wrongUsage: [what: string, args: string[], says: string][] = [
  ['an unknown command', ['chatt'], 'unknown command "chatt"; did you mean chat?'],
  ['help of an unknown command', ['help', 'rnu'], 'unknown command "rnu"; did you mean run?'],
  ['an unknown flag', ['run', '--warp', '9'], 'unknown option "--warp"; mixtral run --help shows which there are\n'],
  ['an unknown flag before the command', ['--warp', 'run'], 'unknown option "--warp"; mixtral --help shows which there are\n'],
  ['a flag that is called otherwise', ['run', '--temp', '0'], 'unknown option "--temp"; did you mean --temperature?'],
  ['a flag of llama.cpp', ['run', '--n-predict=5'], 'did you mean --max-tokens?'],
  ['its flag of an adapter with a scale', ['run', '--lora-scaled', 'a:1'], 'did you mean --lora?'],
  ['its flag of the cache', ['run', '--cache-type-k', 'q8_0'], 'did you mean --kv?'],
  ['a flag of vLLM', ['serve', 'demo', '--kv-cache-dtype', 'fp8'], 'did you mean --kv?'],
  ['a flag with a typo', ['chat', '--contxt', '5'], 'did you mean --context?'],
  ['a command of another program', ['ls'], 'unknown command "ls"; did you mean list?'],
  ['a type that does not exist', ['quantize', 'a', 'b', 'Q9_K_M'], 'TYPE is "Q9_K_M", expected F16, '],
  [
    'an option of the library',
    ['run', 'a', '--min-tokens', '9', '-n', '3'],
    '--min-tokens is 9, expected at most --max-tokens, which is 3',
  ],
  ['too many experts', ['run', 'a', '--experts', '99'], '--experts is 99, expected a whole number from 1 to 8'],
  ['too many arguments', ['run', 'demo', 'a', 'b'], 'too many arguments: 3, expected mixtral run [MODEL] [PROMPT]\n'],
  [
    'a model where it is a flag',
    ['eval', 'mmlu', 'demo', 'a'],
    'too many arguments: 3, expected mixtral eval TASK FILE; the model goes behind --model\n',
  ],
  ['a missing argument of a command of a command', ['batch', 'merge'], 'IN is missing, expected mixtral batch merge IN OUT FROM...\n'],
  ['a missing argument', ['tokenize', 'demo'], 'TEXT is missing, expected a text or a pipe'],
  ['another missing argument', ['quantize', 'demo'], 'OUT is missing, expected mixtral quantize IN OUT TYPE\n'],
  ['a missing argument behind one that may be left out', ['imatrix', 'demo'], 'TEXT is missing, expected mixtral imatrix MODEL TEXT OUT\n'],
  [
    'a text without a model',
    ['perplexity', 'notes.txt'],
    'FILE is missing, expected mixtral perplexity MODEL FILE; "notes.txt" is the model\n',
  ],
  [
    'texts without a model',
    ['experts', 'notes.txt'],
    'FILES is missing, expected mixtral experts MODEL FILES... or --domain NAME=FILE; "notes.txt" is the model\n',
  ],
  ['a missing flag', ['logits', 'demo', '--tokens', '1'], '--out'],
  ['a flag without its value', ['run', '--seed'], '--seed'],
  ['no threads', ['run', '--threads', '0'], '--threads is "0", expected a whole number from 1 to 1024'],
  ['half a token', ['run', '-n', '1.5'], '--max-tokens is "1.5", expected a whole number from 1\n'],
  ['a number that is none', ['run', '--context', 'long'], '--context is "long"'],
  ['a negative temperature', ['run', '--temperature', '-1'], '--temperature is "-1"'],
  ['a probability above 1', ['run', '--top-p', '1.01'], '--top-p is "1.01"'],
  ['a seed beyond exact integers', ['run', '--seed', '9007199254740993'], '--seed is "9007199254740993"'],
  ['token ids that are none', ['logits', '--tokens', '1,x', '--out', 'never'], '--tokens is "1,x"'],
  ['neither tokens nor prompt', ['logits', '--out', 'never'], 'either --tokens or --prompt'],
  ['both tokens and prompt', ['logits', '--tokens', '1', '--prompt', 'a', '--out', 'never'], 'either --tokens or --prompt'],
  ['a prompt that begins with a minus', ['run', 'demo', '-5 + 3'], 'unknown option "-5 + 3"; a text that begins with - goes behind --'],
  ['an output named - in logits', ['logits', '--tokens', '1', '--out', '-'], 'the output is -, expected the name of a file'],
  ['an output named - in trace', ['trace', '--tokens', '1', '--out', '-'], 'the output is -, expected'],
  ['an output named - in imatrix', ['imatrix', 'demo', textFile, '-'], 'the output is -, expected'],
  ['an output named - in perplexity', ['perplexity', 'demo', textFile, '--save-logits', '-'], 'the output is -, expected'],
  ['an output named - in experts', ['experts', 'demo', textFile, '--csv', '-'], 'the output is -, expected'],
  ['an output named - in quantize', ['quantize', 'demo', '-', 'Q4_0'], 'the output is -, expected'],
  ['an output named - in convert', ['convert', folder, '-'], 'the output is -, expected'],
  ['a model without a prompt', ['run', textFile], 'prompt'],
]

test.each(wrongUsage)('wrong usage: %s', async (_, args, says) => {
  const { code, stdout, stderr } = await mixtral(args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^mixtral: .+\n$/)
  expect(stderr).toContain(says)
})

const failures: [what: string, args: string[], says: string][] = [
  ['a missing file', ['inspect', join(folder, 'absent.gguf')], 'absent.gguf'],
  ['a missing file without a prompt', ['run', join(folder, 'absent.gguf')], 'no file'],
  ['a missing text', ['perplexity', 'demo', 'absent.txt'], 'absent.txt: cannot be read: ENOENT: no such file or directory\n'],
  ['less memory than a token needs', ['run', 'demo', 'a', '--ram', '1K'], 'mixtral: 1.0 kB of memory, expected at least 8.2 MB ('],
  ['a folder as a model', ['inspect', `${folder}/`], 'is a folder, expected a GGUF file'],
  ['a file that is no GGUF', ['inspect', textFile], 'notes.gguf'],
  ['a token id outside the vocabulary', ['logits', '--tokens', '2048', '--out', join(folder, 'out')], '2048'],
  ['a file that cannot be written', ['logits', '--tokens', '1', '--out', join(folder, 'no', 'out')], join('no', 'out')],
  ['a prompt longer than the context', ['run', 'demo', 'a b c d e f g h', '--context', '4'], 'the answer; --context 512 makes room\n'],
]

test.each(failures)('failure: %s', async (_, args, says) => {
  const { code, stdout, stderr } = await mixtral(args)
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^mixtral: .+\n$/)
  expect(stderr).toContain(says)
})

test.each(['inspect', 'run', 'show'])('%s of a folder that could be a name says that it is a folder', async (command) => {
  mkdirSync(join(folder, 'mine'), { recursive: true })
  const { code, stderr } = await mixtral([command, 'mine'], { cwd: folder })
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: 'mixtral: "mine" is a folder, expected a GGUF file, or mine:latest for the model of that name\n',
  })
})

test('a kernel build that does not exist is wrong usage', async () => {
  const { code, stderr } = await mixtral(['run', 'hello'], { env: { MIXTRAL_KERNELS: 'avx' } })
  expect({ code, stderr }).toEqual({ code: 2, stderr: 'mixtral: MIXTRAL_KERNELS is "avx", expected simd or relaxed-simd\n' })
})

test.each([{ flags: [] }, { flags: ['--debug'] }])('what a terminal may obey in a message is escaped ($flags)', async ({ flags }) => {
  const { code, stderr } = await mixtral(['inspect', join(folder, '\u001b]0;title\u0007\u009b2J\u202e.gguf'), ...flags])
  expect(code).toBe(1)
  expect(stderr).toContain('\\u001b]0;title\\u0007\\u009b2J\\u202e.gguf')
  expect(stderr).not.toMatch(/[^\P{Cc}\n]|\u202e/u)
})

test('a message without end is cut', async () => {
  const { code, stderr } = await mixtral(['run', `--${'x'.repeat(100_000)}`])
  expect(code).toBe(2)
  expect(stderr).toMatch(/^mixtral: .+\.\.\..*\n$/)
  expect(stderr.length).toBeLessThan(1700)
})

test('--debug shows the stack trace', async () => {
  const { code, stderr } = await mixtral(['inspect', textFile, '--debug'])
  expect(code).toBe(1)
  expect(stderr).toMatch(/MixtralError: .*\n\s+at /)
})

test('help of a command is its --help', async () => {
  const { code, stdout } = await mixtral(['help', 'run'])
  expect({ code, stdout }).toEqual({ code: 0, stdout: (await mixtral(['run', '--help'])).stdout })
  expect(stdout).toContain('--temperature')
})

test('an input is never overwritten', async () => {
  const model = join(folder, 'model.gguf')
  const text = join(folder, 'text.txt')
  copyFileSync(demoPath(), model)
  writeFileSync(text, 'Once upon a time. '.repeat(100))
  for (const args of [
    ['logits', model, '--tokens', '1', '--out', model],
    ['perplexity', model, text, '-c', '64', '--save-logits', model],
    ['perplexity', model, text, '-c', '64', '--save-logits', text],
  ]) {
    const { code, stderr } = await mixtral(args)
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('is an input, expected another name for the output') })
  }
  expect(readFileSync(model).equals(readFileSync(demoPath()))).toBe(true)
  expect(readFileSync(text, 'utf8')).toBe('Once upon a time. '.repeat(100))
})

test('stored logits replace older ones only when they are complete', async () => {
  const [text, stored] = [join(folder, 'long.txt'), join(folder, 'old.kld')]
  writeFileSync(text, 'Once upon a time. '.repeat(20_000))
  writeFileSync(stored, 'older')
  const { code } = await mixtral(['perplexity', 'demo', text, '-c', '256', '--save-logits', stored], {
    atStart: (child) => {
      const draft = watch(folder, () => {
        draft.close()
        child.kill('SIGINT')
      })
    },
  })
  expect(code).toBe(130)
  expect(readFileSync(stored, 'utf8')).toBe('older')
})

test.runIf(process.platform === 'linux')('output that goes in only partly, as on a full disk, is a failure', () => {
  const out = join(folder, 'full.json')
  const command = `ulimit -f 4; "${process.execPath}" "${main}" inspect demo --json > "${out}"`
  const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('standard output cannot be written') })
})

test.each([
  ['/hlep', '; did you mean /help?'],
  ['/new', '; did you mean /clear?'],
  ['/q', '; did you mean /bye?'],
  ['/weather', ''],
])('a command %s of the chat that does not exist is answered with a near one', (word, near) => {
  expect(meantSlash(word, ['/undo', '/clear', '/help', '/bye'])).toBe(near)
})
