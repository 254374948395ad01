// The version of this package, as its package.json says: for the server and for the command.

import { readFileSync } from 'node:fs'

let version: string | undefined

export function packageVersion(): string {
  version ??= JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version as string
  return version
}
