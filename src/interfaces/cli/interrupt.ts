// Ctrl-C, and the other signals that ask a process to end. The first one fires an AbortSignal, so that work ends in
// good order. The next one ends the process at once. Owns the end of a process whose terminal was closed, too.

import { isatty } from 'node:tty'

/** Ctrl-C, `kill`, and a terminal that is closed. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The one that has interrupted work last: the code with which an interrupted command ends tells it. */
export let lastSignal: (typeof signals)[number] | undefined

const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor))

/**
 * An AbortSignal for one piece of work. The first of the process's signals aborts it, with its name as the reason,
 * until `release` is called.
 * @example
 * const interrupt = onInterrupt()
 * try { await work(interrupt.signal) } finally { interrupt.release() }
 */
export function onInterrupt(): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController()
  const release = () => {
    for (const name of signals) process.off(name, abort)
  }
  const abort = (name: (typeof signals)[number]) => {
    release()
    lastSignal = name
    controller.abort(name)
  }
  for (const name of signals) process.on(name, abort)
  return { signal: controller.signal, release }
}

/**
 * Ends a process that exits by the signal of a closed terminal, if there was a terminal and it is closed: Node would
 * set it back, and crash because it cannot.
 */
export function endWithTerminal(): void {
  if (terminals.every((descriptor) => isatty(descriptor))) return
  process.removeAllListeners('SIGHUP')
  process.kill(process.pid, 'SIGHUP')
}

/**
 * Calls `before` when a signal other than Ctrl-C is about to end the process, which then ends by it. Returns a function
 * that ends the listening.
 */
export function beforeEnd(before: () => void): () => void {
  const names = signals.filter((name) => name !== 'SIGINT')
  const stop = () => {
    for (const name of names) process.off(name, end)
  }
  const end = (name: NodeJS.Signals) => {
    stop()
    before()
    process.kill(process.pid, name)
  }
  for (const name of names) process.on(name, end)
  return stop
}
