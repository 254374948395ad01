// Guard bytes: a pattern behind every area of a model's memory, which nothing but a fault ever changes. For tests,
// which ask for them before they load a model, and read what became of them. Owns the pattern and the watch.

import type { WasmMemory } from '../kernels/abi.js'

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

let asked = 0

/** Models that are loaded from now on in this thread leave `bytes` behind every area, a multiple of 64; 0: none. */
export function askForGuards(bytes: number): void {
  asked = bytes
}

/** How many guard bytes are asked for. */
export const askedGuardBytes = () => asked

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
