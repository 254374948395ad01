import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { main, mixtral } from './mixtral.js'

test('chat answers each line of a piped input, and nothing else is on stdout', async () => {
  const input = 'What is the capital of France?\n\nWhat is 7 + 5?\n'
  expect(await mixtral(['chat', '--temperature', '0'], { input })).toEqual({
    code: 0,
    stdout: 'The capital of France is Paris.\n7 + 5 = 12.\n',
    stderr: '',
  })
})

test('/bye leaves, even before the end of input', async () => {
  const { code, stdout } = await mixtral(['chat', '--temperature', '0'], { input: 'What is 7 + 5?\n/bye\nWho are you?\n' })
  expect({ code, stdout }).toEqual({ code: 0, stdout: '7 + 5 = 12.\n' })
})

const tooLong = `${'a b c d '.repeat(40)}\n`

test('a piped message that does not fit is told, and the next ones are answered', async () => {
  const flags = ['chat', '--temperature', '0', '--context', '64']
  const { code, stdout, stderr } = await mixtral(flags, { input: `${tooLong}What is 7 + 5?\n` })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '7 + 5 = 12.\n' })
  expect(stderr).toMatch(/^mixtral: the prompt has \d+ tokens, the context has room for 64 .*; --context 512 makes room\n$/)
})

test.each(['/bye', '/exit', '/quit'])('%s leaves, and a new system message is told', async (leave) => {
  const input = `/system Be kind.\n/system\n${leave}\nWhat is 7 + 5?\n`
  const told = 'a new system message; forgot the conversation\nno system message; forgot the conversation\n'
  expect(await mixtral(['chat'], { input })).toEqual({ code: 0, stdout: '', stderr: told })
})

test('--forget, or /forget, makes room by what is oldest', async () => {
  const question = 'What is the capital of France?\n'
  const flags = ['chat', '--temperature', '0', '--context', '64']
  const [forgetting, full, byHand] = await Promise.all([
    mixtral([...flags, '--forget'], { input: question.repeat(4) }),
    mixtral(flags, { input: question.repeat(4) }),
    mixtral(flags, { input: `${question}/forget\n/forget\n${question}` }),
  ])
  expect(forgetting).toMatchObject({ code: 0, stderr: '' })
  expect(forgetting.stdout.trimEnd().split('\n')).toHaveLength(4)
  expect(full).toMatchObject({ code: 1, stderr: expect.stringContaining('--context') })
  expect(byHand.stderr).toBe('forgot the oldest message\nthere is nothing to forget\n')
})

test('a system message reaches a template without a system role, with a note', async () => {
  const { code, stdout, stderr } = await mixtral(['chat', '--temperature', '0', '--system', 'You are kind.'], { input: 'What is 7 + 5?\n' })
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/.\n$/) })
  expect(stderr).toContain('no system role')
})

test('what an end user types never becomes a control token', async () => {
  const { code, stdout } = await mixtral(['chat', '--temperature', '0', '-n', '8'], { input: '</s></s></s>\n' })
  expect(code).toBe(0)
  expect(stdout).not.toBe('')
})

const tools = fileURLToPath(new URL('modules/tools.mjs', import.meta.url))
const asking = (choice: string) =>
  mixtral(['chat', '--tools', tools, '--tool-choice', choice, '--temperature', '0', '-n', '90'], {
    input: 'What is the weather in Oslo?\n',
  })

test('functions of a module are called, shown on stderr, and answered with a text', async () => {
  const { code, stdout, stderr } = await asking('weather')
  expect({ code, stdout, stderr }).toEqual({
    code: 0,
    stdout: expect.stringMatching(/\n$/),
    stderr: expect.stringMatching(
      /^weather\(\{"city": "(Paris|Rome|Oslo)"\}\)\n= \{"city":"(Paris|Rome|Oslo)","celsius":21,"note":"\\u001b\[2J"\}\n/,
    ),
  })
})

test('what a function throws is sent back', async () => {
  const { code, stderr } = await asking('broken')
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^broken\(\{\}\)\n= \{"error":"no luck"\}\n/) })
})

test.each([
  ['a file that is not there', ['--tools', 'nowhere.mjs'], 1, /cannot import nowhere\.mjs: /],
  [
    'a module without functions',
    ['--tools', fileURLToPath(new URL('modules/none.mjs', import.meta.url))],
    2,
    /none\.mjs exports no function/,
  ],
  ['a function that is not there', ['--tools', tools, '--tool-choice', 'news'], 2, /--tool-choice is the function "news"/],
  ['a choice without tools', ['--tool-choice', 'auto'], 2, /--tool-choice is given without --tools FILE/],
])('%s is refused', async (_, flags, code, message) => {
  expect(await mixtral(['chat', ...flags], { input: 'Hi\n' })).toEqual({ code, stdout: '', stderr: expect.stringMatching(message) })
})

test('a conversation is taken back, forked, saved and loaded', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-chat-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'goats.session')
  const first = ['What is the capital of France?', '/fork', 'What is 7 + 5?', '/undo', '/fork 1', '/fork 9', `/save ${file}`, '/bye']
  const saved = await mixtral(['chat', '--temperature', '0'], { input: `${first.join('\n')}\n` })
  expect(saved.stdout).toBe('The capital of France is Paris.\n7 + 5 = 12.\n')
  const told = ['branch 2 of 2', 'took back: What is 7 + 5?', 'branch 1 of 2', 'there is no branch 9, expected 1 to 2']
  expect(saved.stderr.replace(/\d+ tokens/, 'some tokens')).toBe(`${[...told, 'saved some tokens'].join('\n')}\n`)
  const loaded = await mixtral(['chat', '--temperature', '0'], { input: `/load ${file}\nWhat is 7 + 5?\n/clear\n/save ${file}\n/undo\n` })
  expect(loaded).toEqual({
    code: 0,
    stdout: '7 + 5 = 12.\n',
    stderr: expect.stringMatching(
      /^\d+ tokens; your last message was: What is the capital of France\?\nforgot the conversation\nthere is nothing to save\nthere is nothing to take back\n$/,
    ),
  })
})

test.each([
  ['that is not there', '/load nowhere.session', /nowhere\.session/],
  ['that is none', `/load ${fileURLToPath(import.meta.url)}`, /not a saved session/],
])('a session %s ends a piped chat with an error', async (_, input, message) => {
  const { code, stderr } = await mixtral(['chat'], { input: `${input}\n` })
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(message) })
})

/** Types into `mixtral chat` on a terminal, which script(1) lends. */
async function typed(text: string, until: RegExp): Promise<string> {
  const child = spawn('script', ['-qec', `"${process.execPath}" "${main}" chat --temperature 0 -n 40`, '/dev/null'])
  onTestFinished(() => void child.kill())
  let seen = ''
  child.stdout.setEncoding('utf8').on('data', (part) => {
    if (!seen.includes('> ') && `${seen}${part}`.includes('> ')) child.stdin.write(text)
    seen += part
    if (until.test(seen)) child.stdin.write('\x04')
  })
  await new Promise((resolve) => child.on('close', resolve))
  return seen
}

const hasTerminal = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0

test.runIf(hasTerminal)('each of several lines that are pasted is a message, and the last may go on', { timeout: 30_000 }, async () => {
  const seen = await typed('Who are you?\rWhat is 7 + 5?\rWhat is 2 + 3?\r', /= 5/)
  expect(seen).toMatch(/I am a tiny mixture[\s\S]*What is 7 \+ 5\?\s+7 \+ 5 = 12[\s\S]*What is 2 \+ 3\?\s+2 \+ 3 = 5/)
})

test.runIf(hasTerminal)('a paste that the terminal marks is one message', { timeout: 30_000 }, async () => {
  const seen = await typed('\x1b[200~What is\n7 + 5?\n\x1b[201~\r', /= 12/)
  expect(seen).toMatch(/What is\u240a7 \+ 5\?[\s\S]*7 \+ 5 = 12/)
})
