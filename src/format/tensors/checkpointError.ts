// Errors about checkpoints to convert. Owns the form of their messages: `FILE: PROBLEM (WHERE)`.

import { MixtralError } from '../../base/errors.js'

/** The checkpoint is malformed or incomplete. `problem` says what was found and what was expected. */
export function checkpointError(file: string, problem: string, where?: string, options?: ErrorOptions): MixtralError {
  return new MixtralError('CHECKPOINT', message(file, problem, where), options)
}

/** The checkpoint has a known feature that a Mixtral's GGUF file, or this converter, does not have. */
export function unsupported(file: string, problem: string, where?: string): MixtralError {
  return new MixtralError('UNSUPPORTED', message(file, problem, where))
}

function message(file: string, problem: string, where: string | undefined): string {
  return `${file}: ${problem}${where === undefined ? '' : ` (${where})`}`
}
