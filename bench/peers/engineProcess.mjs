// The parent's side of a measured engine: a fresh process that stays up, answers one request at a time, and is idle in
// between, so that engines can take turns. Knows the protocol of engineServer.mjs and nothing of what is measured.

import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { replyMark } from './engineServer.mjs'

export class EngineProcess {
  #child
  #answer
  #errors = ''

  /** Starts `engines/<engine>.mjs` under `command`, a program and its arguments (`['deno', 'run', '-A']`). */
  constructor(engine, command) {
    const script = fileURLToPath(new URL(`./engines/${engine}.mjs`, import.meta.url))
    const [program, ...args] = command
    this.#child = spawn(program, [...args, script], { stdio: ['pipe', 'pipe', 'pipe'] })
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#receive(line))
    this.#child.stderr.on('data', (data) => {
      this.#errors = (this.#errors + data).slice(-4000)
    })
    this.#child.stdin.on('error', () => {}) // of a child that is gone: 'close' tells
    this.#child.on('error', (error) => this.#settle({ error: error.message }))
    this.#child.on('close', (code, signal) => this.#settle({ error: `${engine} ended (${signal ?? code})\n${this.#errors}` }))
  }

  /** One operation of engineServer.mjs. Rejects with the child's own message if it fails or dies. */
  request(operation, values = {}) {
    return new Promise((resolve, reject) => {
      this.#answer = (reply) => (reply.error === undefined ? resolve(reply) : reject(new Error(reply.error)))
      this.#child.stdin.write(`${JSON.stringify({ operation, ...values })}\n`)
    })
  }

  /** The most memory the process ever had resident, mapped files included; undefined where there is no /proc. */
  peakRssBytes() {
    try {
      const [, kibibytes] = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8').match(/^VmHWM:\s*(\d+) kB/m)
      return Number(kibibytes) * 1024
    } catch {
      return undefined
    }
  }

  /** Makes it the one that the system kills when memory runs out, and nothing else. Linux only. */
  offerToKill() {
    writeFileSync(`/proc/${this.#child.pid}/oom_score_adj`, '1000')
  }

  /** Closes the model and waits until the process has gone and its memory is free. */
  async close() {
    await this.request('close')
    const gone = new Promise((resolve) => this.#child.once('close', resolve))
    this.#answer = undefined
    this.#child.stdin.end()
    await gone
  }

  /** For when something else failed: do not leave the process behind. */
  kill() {
    this.#answer = undefined
    this.#child.kill('SIGKILL')
  }

  #receive(line) {
    if (line.startsWith(replyMark)) this.#settle(JSON.parse(line.slice(replyMark.length)))
  }

  #settle(reply) {
    const answer = this.#answer
    this.#answer = undefined
    answer?.(reply)
  }
}
