// Ctrl-C, and the other ways to ask a process to end. The first such signal fires an AbortSignal, so that work ends in good order; after it the process is as killable
// as any other.

/** Ctrl-C, a polite kill, and the terminal that is closed. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * A signal for one piece of work, aborted by the first of the process's signals, whose name is then its reason, until `release` is called.
 * @example const interrupt = onInterrupt(); try { await work(interrupt.signal) } finally { interrupt.release() }
 */
export function onInterrupt(): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController()
  const release = () => {
    for (const name of signals) process.off(name, abort)
  }
  const abort = (name: string) => {
    release()
    controller.abort(name)
  }
  for (const name of signals) process.on(name, abort)
  return { signal: controller.signal, release }
}
