// Pulls the model of the first argument, as a process that can be killed; prints its path, or what failed. Not a test.

import { HuggingFace, OllamaRegistry } from '../../dist/registry/registries.js'

try {
  const [, , name] = process.argv
  console.log(await (name.startsWith('hf:') ? HuggingFace : OllamaRegistry).pull(name))
} catch (error) {
  console.log(error.message)
  process.exitCode = 1
}
