// Files of requests and results for tests, in a folder that goes with them.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

export const demo = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))

/** A path in the folder of this test, which is removed behind it. */
export function testFolder(): (name: string) => string {
  const folder = mkdtempSync(path.join(tmpdir(), 'mixtral-batch-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return (name) => path.join(folder, name)
}

export interface Line {
  readonly url?: string
  readonly body: object
  readonly id?: string
}

export const chat = (text: string, more: object = {}): Line => ({
  url: '/v1/chat/completions',
  body: { messages: [{ role: 'user', content: text }], max_tokens: 8, ...more },
})

export const complete = (prompt: string, more: object = {}): Line => ({
  url: '/v1/completions',
  body: { prompt, max_tokens: 8, ...more },
})

export const embed = (input: string, more: object = {}): Line => ({ url: '/v1/embeddings', body: { input, ...more } })

/** Writes a file of requests. */
export function writeInput(file: string, lines: readonly Line[]): void {
  const text = lines.map(({ url, body, id }, i) => `${JSON.stringify({ custom_id: id ?? `r${i}`, method: 'POST', url, body })}\n`)
  writeFileSync(file, text.join(''))
}

/** The lines of a file as values; none where there is no file. */
// biome-ignore lint/suspicious/noExplicitAny: lines of any form
export function linesIn(file: string): any[] {
  if (!existsSync(file) || statSync(file).isDirectory()) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1) // the last one may be under way
    .map((line) => JSON.parse(line))
}
