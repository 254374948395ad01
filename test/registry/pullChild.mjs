// Pulls the model of the first argument, as a process that can be killed; prints its path, or what failed. Not a test.

import { OllamaRegistry } from '../../dist/registry/registries.js'

try {
  console.log(await OllamaRegistry.pull(process.argv[2]))
} catch (error) {
  console.log(error.message)
  process.exitCode = 1
}
