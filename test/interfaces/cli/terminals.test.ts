// What terminals show of the command: narrow, wide, dumb, without colors, resized. No row of a progress line is left,
// and no word is broken.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ollamaModel } from '../../registry/ollamaModel.js'
import { useRegistry } from '../../registry/useRegistry.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { main } from './mixtral.js'
import { hasTmux, Terminal } from './tmux.js'

const { server, newFolder } = useRegistry()
const folder = mkdtempSync(join(tmpdir(), 'mixtral-terminals-'))
afterAll(() => rmSync(folder, { recursive: true }))
const text = join(folder, 'text')
writeFileSync(text, 'Once upon a time, there was a child who lived near the sea. '.repeat(400))
const longText = join(folder, 'long text')
writeFileSync(longText, readFileSync(text, 'utf8').repeat(20))

/** A clock that runs a hundred times too fast: work of a moment gets its progress line. */
const hurry = 'data:text/javascript,const now=performance.now.bind(performance);performance.now=()=>100*now()'
const demo = readFileSync(demoPath())

const mixtral = (args: string) => `'${process.execPath}' '${main}' ${args}\n`
const hurried = (args: string) => `'${process.execPath}' --import '${hurry}' '${main}' ${args}\n`

/** Each command that a terminal is for, one after the other. */
function everything(env: Record<string, string>): { script: string; env: Record<string, string> } {
  const name = server.addOllama(ollamaModel({ template: '[INST] {{ .Prompt }} [/INST]', license: 'Be kind. '.repeat(40) }, demo))
  const script = [
    hurried(`pull ${name}`),
    mixtral('list'),
    mixtral(`show ${name}`),
    mixtral('inspect'),
    mixtral('run'),
    mixtral('run "Once upon a time" --logprobs 5 -n 5 --temperature 0'),
    hurried('verify --threads 1'),
    hurried(`quantize '${demoPath()}' '${join(folder, 'out.gguf')}' q2_k --requantize`),
    hurried(`perplexity demo '${text}' -c 64 --chunks 20`),
    hurried('bench -p 16 -n 8 -r 2 --parallel 2'),
    mixtral('help'),
    mixtral('run --help'),
    mixtral('serve --help'),
    mixtral('run --temp 0'),
    mixtral('quantize in out q9'),
  ].join('')
  const folders = { MIXTRAL_HOME: newFolder(), OLLAMA_MODELS: folder, HF_HUB_CACHE: folder }
  return { script, env: { ...folders, ...env } }
}

/** A progress line, or what is left of one. */
const left = /^(downloading|loading|prompt|verifying|hashing|quantizing|perplexity|measuring) .*( of | %)|^[━·#.]{4}|^\d+ (s|min) left/
/** Rows that the terminal has broken, and could have been broken at a space. */
const broken = (terminal: Terminal, width: number) =>
  terminal.rows({ joined: true }).filter((row) => row.length > width && row.trim().includes(' '))

describe.skipIf(!hasTmux)('a terminal', () => {
  test.each([60, 80, 200])('of %s columns has no rows left over, and no broken words', { timeout: 240_000 }, async (width) => {
    const { script, env } = everything({})
    const terminal = new Terminal(width, script, env)
    await terminal.until(/^ENDED$/m, 230_000)
    const rows = terminal.rows()
    expect(rows.filter((row) => left.test(row))).toEqual([])
    expect(broken(terminal, width)).toEqual([])
    const raw = terminal.raw()
    for (const work of ['downloading', 'verifying', 'quantizing', 'perplexity', 'measuring'])
      expect(raw).toContain(`\x1b[K\x1b[?7l${work} `)
    expect(raw).toContain('━')
    const shown = rows.join('\n')
    expect(shown.replaceAll(/\s+/g, ' ')).toContain('And they lived happily ever after. prompt 5 tokens')
    expect(shown).toMatch(/^right: all 189 matrices/m)
    expect(shown).toMatch(/^PPL = /m)
  })

  test('that is dumb gets no escape sequence, and one without colors none of colors', { timeout: 240_000 }, async () => {
    const { script, env } = everything({ TERM: 'dumb' })
    const dumb = new Terminal(80, script, env)
    await dumb.until(/^ENDED$/m, 230_000)
    const written = dumb.raw().replace(/^[\s\S]*?(?=127\.0\.0\.1)/, '')
    expect(written).not.toContain('\x1b')
    expect(broken(dumb, 80).filter((row) => !row.includes('happily'))).toEqual([])
    expect(written.replaceAll('\r', '')).toContain('Once upon a time, there was a child named Sam. He had a golden ring that he')
    const plain = new Terminal(80, hurried('verify --threads 1') + mixtral('inspect'), { NO_COLOR: '1' })
    await plain.until(/^ENDED$/m, 100_000)
    expect(plain.raw()).toMatch(/━·/)
    expect(
      plain
        .raw()
        .split('\x1b')
        .filter((part) => /^\[[\d;]+m/.test(part)),
    ).toEqual([])
  })

  test('that changes its width keeps one row of progress, and what was measured until Ctrl-C', { timeout: 120_000 }, async () => {
    // What is in the first row goes where no program reaches it, if the row becomes two.
    const terminal = new Terminal(200, `seq 10\n${hurried(`perplexity demo '${longText}' -c 32 --threads 1`)}`)
    await terminal.until(/^perplexity ━.* left$/m)
    for (const width of [60, 80, 45, 120]) {
      terminal.resize(width)
      await new Promise((resolve) => setTimeout(resolve, 700))
      const rows = terminal.rows().filter((row) => /[^\d]/.test(row))
      expect({ width, rows }).toEqual({ width, rows: [expect.stringMatching(/^perplexity /)] })
    }
    terminal.keys('C-c')
    await terminal.until(/^ENDED$/m)
    expect(terminal.rows().filter((row) => left.test(row))).toEqual([])
    expect(terminal.rows().join('\n')).toMatch(/^interrupted after \d+ of \d+ windows: PPL = [\d.]+ ± [\d.]+$/m)
  })

  test('has a chat that tells what it forgets and which command was meant', { timeout: 120_000 }, async () => {
    const terminal = new Terminal(60, mixtral('chat --temperature 0 --context 64 --forget'))
    await terminal.until(/^> $|^>$/m)
    for (let i = 1; i <= 4; i++) {
      terminal.keys('What is the capital of France?', 'Enter')
      await terminal.until(new RegExp(`(?:answer \\d+ tokens[\\s\\S]*){${i}}\\n>$`, 'm'))
    }
    expect(terminal.rows()).toContain('forgot the oldest message')
    terminal.keys('/hlep', 'Enter')
    await terminal.until(/^no command \/hlep; did you mean \/help\?\n>$/m)
    terminal.keys('/exit', 'Enter')
    await terminal.until(/^ENDED$/m)
  })

  test('has a chat that one Ctrl-C does not end', { timeout: 120_000 }, async () => {
    const terminal = new Terminal(60, mixtral('chat --temperature 0 -n 60'))
    await terminal.until(/^> $|^>$/m)
    terminal.keys('/help', 'Enter')
    await terminal.until(/^\/bye +leave/m)
    terminal.keys('Who are you?', 'Enter')
    await terminal.until(/answer \d+ tokens[\s\S]*\n>$/m)
    terminal.keys('C-c')
    await terminal.until(/^Ctrl-C again, Ctrl-D or \/bye leaves\n>$/m)
    terminal.keys('What is 7 + 5?', 'Enter')
    await terminal.until(/^7 \+ 5 = 12\.$[\s\S]*\n>$/m)
    expect(broken(terminal, 60)).toEqual([])
    terminal.keys('C-c')
    await terminal.until(/leaves\n>[\s\S]*leaves\n>$/m)
    expect(terminal.rows()).not.toContain('ENDED')
    terminal.keys('C-c')
    await terminal.until(/^ENDED$/m)
  })

  test.each([
    ['run', 'run demo Babble --temperature 9 --top-k 0 --top-p 1 --min-p 0', /\w+ \w+ \w+/],
    ['chat', 'chat', /^>$/m],
  ])('a terminal that is closed ends %s by its signal, not by a crash', async (name, args, begun) => {
    const status = join(folder, `status of ${name}`)
    const terminal = new Terminal(80, `trap '' HUP\n${mixtral(args).trim()}; echo $? > '${status}'`)
    await terminal.until(begun)
    terminal.hangUp()
    await expect.poll(() => existsSync(status) && readFileSync(status, 'utf8').trim(), { timeout: 20_000 }).toBe('129')
  })

  test('a signal at the prompt of chat leaves a terminal that marks no pastes', async () => {
    const pid = join(folder, 'pid')
    const terminal = new Terminal(80, `sh -c 'echo $$ > "${pid}"; exec "${process.execPath}" "${main}" chat'`)
    await terminal.until(/^>$/m)
    process.kill(Number(readFileSync(pid, 'utf8')), 'SIGTERM')
    await terminal.until(/ENDED$/m)
    expect(terminal.raw().lastIndexOf('\x1b[?2004l')).toBeGreaterThan(terminal.raw().lastIndexOf('\x1b[?2004h'))
  })
})
