// Runs the built `mixtral` command as a shell does, and returns its output and exit code.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const main = fileURLToPath(new URL('../../../dist/interfaces/cli/main.js', import.meta.url))

export interface Ended {
  readonly code: number | null // null if a signal killed it
  readonly stdout: string
  readonly stderr: string
}

interface Settings {
  readonly input?: string
  readonly env?: Record<string, string>
  readonly cwd?: string
  /** Flags of Node, for all threads. */
  readonly nodeFlags?: readonly string[]
  /** Called with the running process, once it has written to stdout. */
  readonly atFirstOutput?: (child: ChildProcessWithoutNullStreams) => void
  /** Called with the running process at once. */
  readonly atStart?: (child: ChildProcessWithoutNullStreams) => void
}

export async function mixtral(
  args: readonly string[],
  { input = '', env = {}, cwd, nodeFlags = [], atFirstOutput, atStart }: Settings = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [...nodeFlags, main, ...args], { env: { ...process.env, ...env }, cwd })
  atStart?.(child)
  if (atFirstOutput) child.stdout.once('data', () => atFirstOutput(child))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  child.stdin.on('error', () => {}) // it may end without reading
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  return { code, stdout, stderr }
}

/** A prompt that the demo model continues until the context is full. */
export const endless = 'KING RICHARD III:\n'
