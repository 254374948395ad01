// A registry on loopback for the tests of one file, empty at the start of each, and folders for what they download.
// Not a test.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { RegistryServer } from './registryServer.js'

export interface UsedRegistry {
  readonly server: RegistryServer
  /** A folder that is deleted after the tests. */
  readonly root: string
  /** The path of another folder in it, which is not there yet. */
  readonly newFolder: () => string
}

/** To be called at the top of a file of tests. */
export function useRegistry(): UsedRegistry {
  const server = new RegistryServer()
  const root = mkdtempSync(join(tmpdir(), 'mixtral-registry-'))
  let folders = 0
  beforeAll(() => server.listen())
  afterAll(async () => {
    await server.stop()
    rmSync(root, { recursive: true })
  })
  beforeEach(() => server.reset())
  return { server, root, newFolder: () => join(root, String(folders++)) }
}
