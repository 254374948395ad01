// Guard bytes: a pattern behind every area of a model's memory, which nothing but a fault ever changes. For tests,
// which ask for them by the variable MIXTRAL_GUARD_BYTES and read what became of them. Owns the pattern and the watch.

import process from 'node:process'
import type { WasmMemory } from '../kernels/webAssembly.js'

/** Bytes behind an area. */
export interface Guard {
  readonly bank: number
  readonly at: number
  readonly bytes: number
}

const PATTERN = 0xa5

interface Guarded {
  readonly memories: readonly WasmMemory[]
  readonly guards: readonly Guard[]
}

const watched = new Set<Guarded>()

/** How many guard bytes the environment asks for. */
export function askedGuardBytes(): number {
  return Math.ceil(Number(process.env.MIXTRAL_GUARD_BYTES ?? 0) / 64) * 64
}

/** Writes the pattern, and watches it until the result is called. */
export function watchGuards(memories: readonly WasmMemory[], guards: readonly Guard[]): () => void {
  if (guards.length === 0) return () => {}
  const guarded = { memories, guards }
  for (const guard of guards) bytesOf(guarded, guard).fill(PATTERN)
  watched.add(guarded)
  return () => {
    watched.delete(guarded)
  }
}

/** How many guards are watched, of all models that are open, and those that are not intact. */
export function readGuards(): { readonly watched: number; readonly broken: readonly Guard[] } {
  const all = [...watched].flatMap((guarded) => guarded.guards.map((guard) => ({ guarded, guard })))
  const broken = all.filter(({ guarded, guard }) => bytesOf(guarded, guard).some((byte) => byte !== PATTERN))
  return { watched: all.length, broken: broken.map(({ guard }) => guard) }
}

function bytesOf({ memories }: Guarded, { bank, at, bytes }: Guard): Uint8Array {
  return new Uint8Array(memories[bank]!.buffer, at, bytes)
}
