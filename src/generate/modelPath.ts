// A model's name to the path of its file: a path, or `demo` for the model that ships with the package.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MixtralError } from '../errors.js'

/** The path of a model. Throws `IO` if there is no such file. */
export function resolveModelPath(name: string): string {
  if (name === 'demo') return fileURLToPath(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))
  if (existsSync(name)) return name
  throw new MixtralError(
    'IO',
    `no model ${JSON.stringify(name)}: expected the path of a GGUF file, or demo for the model that comes with the package`,
  )
}
