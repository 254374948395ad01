// Whether a process of this machine lives, as far as a signal that does nothing can tell: who finds files of another process asks before clearing them away.

/** `unknown` where asking is not allowed, as on Deno without a permission for it. */
export function processState(pid: number): 'lives' | 'gone' | 'unknown' {
  try {
    process.kill(pid, 0)
    return 'lives'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EPERM') return 'lives' // another user's
    return code === 'ESRCH' ? 'gone' : 'unknown'
  }
}
