// llama.cpp's own benchmark program, where the user has one: the same prompt lengths, decode lengths and depths, on the
// CPU.

import { spawnSync } from 'node:child_process'

/**
 * Runs `llama-bench` at `path` for one file and thread count.
 * @returns tests as in measure.mjs, each with its list of samples in tokens per second
 */
export function runLlamaBench(path, file, threads, tests, repetitions) {
  const about = {}
  const samples = tests.map(({ kind, tokens, depth }) => {
    const lengths = kind === 'prefill' ? ['-p', tokens, '-n', 0] : ['-p', 0, '-n', tokens, '-d', depth]
    const args = ['-m', file.path, '-t', threads, '-ngl', 0, '-r', repetitions, '-o', 'json', ...lengths].map(String)
    const { status, stdout, stderr, error } = spawnSync(path, args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`${path} ${args.join(' ')} failed: ${error?.message ?? stderr.slice(-2000)}`)
    const [row] = JSON.parse(stdout)
    about.version = `b${row.build_number}`
    return row.samples_ts
  })
  return { engine: { loadSeconds: [], about: { engine: 'llama-bench', ...about } }, samples }
}
