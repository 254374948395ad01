// llama.cpp's own functions out of the library that node-llama-cpp ships, called through python3's ctypes in a process
// of its own. Owns that process; what is called is ggml.py's.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The folder of the libraries for this machine's processor, without a graphics card. */
function libraries() {
  const name = `${process.platform}-${process.arch}`
  const main = fileURLToPath(import.meta.resolve('node-llama-cpp'))
  const folder = join(dirname(main), '..', '..', '@node-llama-cpp', name, 'bins', name)
  if (!existsSync(folder)) throw new Error(`${folder} is missing, expected node-llama-cpp's libraries: npm ci --ignore-scripts`)
  return folder
}

/** A process that answers one request after the other. */
export class Ggml {
  #process = spawn('python3', [fileURLToPath(new URL('ggml.py', import.meta.url)), libraries()], { stdio: ['pipe', 'pipe', 'inherit'] })
  #lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()

  /** @param {{ call: 'encode' | 'quantize' }} request with the arguments of the function in ggml.py */
  async ask(request) {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`)
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`python3 has ended without an answer to ${request.call}`)
    const answer = JSON.parse(value)
    if (answer.error) throw new Error(answer.error)
    return answer
  }

  close() {
    this.#process.stdin.end()
  }
}
