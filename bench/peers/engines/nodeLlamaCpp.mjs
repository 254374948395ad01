// node-llama-cpp on the CPU, from its prebuilt binary only: it neither downloads nor compiles. Everything else is its
// default (KV cache in f16, flash attention where it thinks best, mmap, batches of 512), greedy sampling, and exactly
// as many threads as asked for.

import { readFileSync } from 'node:fs'
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import { runtime, serveEngine, stepwise } from '../engineServer.mjs'

const { version } = JSON.parse(readFileSync(new URL('../node_modules/node-llama-cpp/package.json', import.meta.url), 'utf8'))
const logged = []
let llama
let model
let context
let sequence
let generator

await serveEngine({
  async load({ path, threads, contextLength, ...options }) {
    llama = await getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      maxThreads: 0, // no limit: the context's `threads` is then taken exactly
      logLevel: LlamaLogLevel.debug,
      logger: (_, message) => logged.push(message),
    })
    model = await llama.loadModel({ modelPath: path, ...options })
    context = await model.createContext({ contextSize: contextLength, threads })
    sequence = context.getSequence()
  },

  ...stepwise(clear, continueFrom),

  about() {
    const backend = backendFile()
    return {
      engine: 'node-llama-cpp',
      version,
      llamaCpp: llama.llamaCppRelease.release,
      runtime: runtime(),
      build: llama.buildType,
      kernels: backend?.replace(/^libggml-cpu-|\.\w+$/g, '') ?? 'unknown',
      threads: context.currentThreads,
      batch: context.batchSize,
      buffersMiB: weightBuffers(),
      cpuFeatures: llama.systemInfo.match(/\w+(?= = 1)/g) ?? [],
    }
  },

  async close() {
    await llama.dispose()
  },
})

async function clear() {
  await generator?.return()
  await sequence.clearHistory()
}

async function continueFrom(prompt) {
  await generator?.return()
  await sequence.adaptStateToTokens(prompt.slice(0, -1), false)
  generator = sequence.evaluate(prompt.slice(sequence.nextTokenIndex), { temperature: 0, yieldEogToken: true })
  return async (id) => (await generator.next(id)).value
}

/** Which of the prebuilt CPU variants llama.cpp chose: it logs the path of the library it loads. */
function backendFile() {
  return logged.join('\n').match(/loaded CPU backend from .*?([^\\/\n]+\.(?:so|dll|dylib))/)?.[1]
}

/** Where the weights went: mapped file, repacked copy, AMX tiles. */
function weightBuffers() {
  const sizes = logged.join('\n').matchAll(/(\S+) model buffer size = *([\d.]+) MiB/g)
  return Object.fromEntries(Array.from(sizes, ([, name, size]) => [name, Number(size)]))
}
