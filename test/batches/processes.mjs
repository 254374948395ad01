// Processes of the built `mixtral` command: started, waited for, and what they said.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../dist/interfaces/cli/main.js', import.meta.url))
export const demoFile = fileURLToPath(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))

/** Starts the command; `said` of the process has its output. */
export function start(args) {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.said = { stdout: '', stderr: '' }
  child.closed = new Promise((resolve) => child.on('close', resolve))
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      child.said[name] += text
    })
  }
  return child
}

export async function untilEnded(child) {
  await child.closed
}

export async function ended(child) {
  await child.closed
  return { code: child.exitCode, ...child.said }
}

/** Runs the command. Throws what it says where it fails. */
export async function mixtral(...args) {
  const result = await ended(start(args))
  if (result.code !== 0) throw new Error(`mixtral ${args.join(' ')}: exit code ${result.code}: ${result.stderr}`)
  return result
}
