// Ctrl-C. The first one fires an AbortSignal, so that work ends in good order; after it the process is as killable as any other.

/**
 * A signal for one piece of work, aborted by the first SIGINT until `release` is called.
 * @example const interrupt = onInterrupt(); try { await work(interrupt.signal) } finally { interrupt.release() }
 */
export function onInterrupt(): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController()
  const abort = () => controller.abort()
  process.once('SIGINT', abort)
  return { signal: controller.signal, release: () => process.off('SIGINT', abort) }
}
