// How the tests run: against the build in dist/, each file in a process of its own, as many at once as the smallest
// machine has cores for.

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    setupFiles: ['test/propertySeed.ts'],
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
