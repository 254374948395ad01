// What a runtime still has of models that were closed: runs in an empty project beside the packed package, on Linux,
// and prints `nothing`, or what is left.

import { readdirSync, readlinkSync } from 'node:fs'
import process from 'node:process'
import { MixtralModel } from 'mixtral-wasm'

const threads = () => readdirSync('/proc/self/task').length
const files = () => readdirSync('/proc/self/fd').filter((fd) => target(fd).endsWith('.gguf')).length

const counts = []
for (let i = 0; i < 4; i++) {
  const model = await MixtralModel.load('demo', { threads: 2, contextLength: 64, ram: 6_500_000 }) // with threads that read, each its own descriptors
  await model.evaluate([1, 400, 500])
  await model.close()
  await new Promise((resolve) => setTimeout(resolve, 500)) // threads take a moment to go
  counts.push(threads())
}
const more = counts.at(-1) - counts[0]
const left = [...(more > 2 ? [`${more} threads of three models`] : []), ...(files() ? [`${files()} open files`] : [])]
console.log(left.join(', ') || 'nothing')
process.exit(0)

function target(descriptor) {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`)
  } catch {
    return '' // closed meanwhile
  }
}
