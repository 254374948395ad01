import type { Random } from './random.mjs'

export function mutateBytes(random: Random, bytes: Uint8Array, most?: number): Uint8Array
export function mutateText(random: Random, text: string, words?: readonly string[], most?: number): string
export function mutateJson<T>(random: Random, value: T): unknown
