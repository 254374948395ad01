// Ctrl-C, and the other signals that ask a process to end. The first one fires an AbortSignal, so that work ends in
// good order. The next one ends the process at once.

/** Ctrl-C, `kill`, and a terminal that is closed. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The one that has interrupted work last: the code with which an interrupted command ends tells it. */
export let lastSignal: (typeof signals)[number] | undefined

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
