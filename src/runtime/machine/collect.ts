// Gives the memory of what is closed back to the system, now. A WebAssembly memory is freed by the garbage collector
// alone, which sees a small object, not the gigabytes behind it, and may take hours.

import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** One collection frees the object, the next its memory; what an answer has in hand still may need some more. */
const MOST_COLLECTIONS = 8

let collect: (() => void) | undefined

/** Collects until the object that `held` refers to is gone, or for some hundredths of a second. Never throws. */
export async function collectGarbage(held: WeakRef<object>): Promise<void> {
  collect ??= collectorOf()
  for (let i = 0; i < MOST_COLLECTIONS; i++) {
    await sleep(5) // a reference that was looked at lives until the turn ends
    collect()
    if (held.deref() === undefined) break
  }
  await sleep(0)
  collect()
}

/** What collects in this runtime; nothing where it cannot be asked to. */
function collectorOf(): () => void {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(now: boolean): void } }
  if (gc) return gc
  if (Bun) return () => Bun.gc(true)
  try {
    setFlagsFromString('--expose-gc')
    const found = runInNewContext('globalThis.gc') as (() => void) | undefined
    setFlagsFromString('--no-expose-gc')
    return found ?? (() => {})
  } catch {
    return () => {}
  }
}
