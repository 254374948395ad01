// A terminal for tests: tmux, which shows what a terminal would. Where there is none, tests are skipped with a warning;
// on CI they fail.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export const hasTmux = spawnSync('tmux', ['-V']).status === 0
if (!hasTmux) {
  const why = 'no tmux'
  if (process.env.CI) throw new Error(`${why}: on CI, terminals must be tested`)
  console.warn(`\nWHAT TERMINALS SHOW IS NOT TESTED: ${why}\n`)
}

export class Terminal {
  readonly #folder = mkdtempSync(join(tmpdir(), 'mixtral-tmux-'))
  #isOpen = true

  /** A terminal in which a shell script runs, until the test ends. What it writes is kept. */
  constructor(columns: number, script: string, env: Readonly<Record<string, string>> = {}) {
    const exports = Object.entries({ LC_ALL: 'C.UTF-8', ...env }).map(([name, value]) => `export ${name}='${value}'\n`)
    writeFileSync(join(this.#folder, 'script'), `${exports.join('')}trap : INT\nclear\n${script}\necho; echo ENDED\nsleep 600\n`)
    writeFileSync(join(this.#folder, 'conf'), 'set -g history-limit 20000\nset -g status off\n')
    this.#tmux('-f', join(this.#folder, 'conf'), 'new-session', '-d', '-x', `${columns}`, '-y', '50', 'sleep 600')
    this.#tmux('pipe-pane', '-o', `cat > '${join(this.#folder, 'raw')}'`)
    this.#tmux('respawn-pane', '-k', `sh '${join(this.#folder, 'script')}'`)
    onTestFinished(() => {
      this.hangUp()
      rmSync(this.#folder, { recursive: true })
    })
  }

  /** The rows so far. `joined`: rows that the terminal itself has broken are one. */
  rows({ joined = false } = {}): string[] {
    const text = this.#tmux('capture-pane', '-p', '-S', '-', ...(joined ? ['-J'] : []))
    return text.split('\n').map((row) => row.trimEnd())
  }

  /** All that was written, with its escape sequences. */
  raw(): string {
    return readFileSync(join(this.#folder, 'raw'), 'utf8')
  }

  keys(...keys: string[]): void {
    this.#tmux('send-keys', ...keys)
  }

  /** Closes the terminal. */
  hangUp(): void {
    if (this.#isOpen) this.#tmux('kill-server')
    this.#isOpen = false
  }

  resize(columns: number): void {
    this.#tmux('resize-window', '-x', `${columns}`)
  }

  /** Waits until the rows have what is looked for. */
  async until(pattern: RegExp, milliseconds = 60_000): Promise<void> {
    const end = Date.now() + milliseconds
    while (!pattern.test(this.rows().join('\n'))) {
      if (Date.now() > end) throw new Error(`no ${pattern} in:\n${this.rows().join('\n')}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  #tmux(...args: string[]): string {
    const env = { ...process.env, TMUX: '', LC_ALL: 'C.UTF-8' }
    const { stdout, stderr, status } = spawnSync('tmux', ['-S', join(this.#folder, 'socket'), ...args], { encoding: 'utf8', env })
    if (status !== 0) throw new Error(`tmux ${args.join(' ')}: ${stderr}`)
    return stdout
  }
}
