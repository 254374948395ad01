// Whether a process of this machine is alive, as far as a signal without effect can tell. Asked before files that
// another process left are removed.

/** The state of a process; `unknown` where a signal is not allowed, as on Deno without the permission. */
export function processState(pid: number): 'lives' | 'gone' | 'unknown' {
  try {
    process.kill(pid, 0)
    return 'lives'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EPERM') return 'lives' // as another user's process
    return code === 'ESRCH' ? 'gone' : 'unknown'
  }
}
