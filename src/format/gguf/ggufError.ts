// Errors about malformed GGUF files. Owns the form of their messages; names in them come from untrusted files, so they are
// escaped and cut, and values shortened.

import { MixtralError } from '../../base/errors.js'
import type { GgufValue } from './gguf.js'

/** `FILE: PROBLEM (WHERE)`, with code `GGUF`. `problem` says what was found and what was expected. */
export function ggufError(file: string, problem: string, where: string): MixtralError {
  return new MixtralError('GGUF', `${file}: ${problem} (${where})`)
}

/** A name out of a file, fit for a message: in quotes, control characters escaped, at most about 80 characters. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 77)}...` : name)
}

/** A metadata value, or its absence, fit for a message. */
export function shown(value: GgufValue | undefined): string {
  if (value === undefined) return 'no value'
  if (typeof value === 'string') return quoted(value)
  return Array.isArray(value) ? `a list of ${value.length}` : String(value)
}
