// wllama: llama.cpp compiled to WebAssembly, in a headless Chromium (CHROMIUM says which; default: /usr/bin/chromium). It has no way to give
// it tokens one by one, so a decode is a greedy completion, timed by llama.cpp itself. Drives the browser; the page only calls wllama.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'
import { serveEngine } from '../engineServer.mjs'

const packageUrl = new URL('../node_modules/@wllama/wllama/', import.meta.url)
const { version } = JSON.parse(readFileSync(new URL('package.json', packageUrl), 'utf8'))
const served = {
  '/': ['text/html', '<!doctype html><input type="file">'],
  '/wllama.js': ['text/javascript', readFileSync(new URL('esm/index.js', packageUrl))],
  '/wllama.wasm': ['application/wasm', readFileSync(new URL('esm/wasm/wllama.wasm', packageUrl))],
}
const server = createServer(({ url }, response) => {
  const [type, body] = served[url] ?? []
  // Threads need shared memory, and a page has it only when isolated.
  const isolated = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
  response.writeHead(type ? 200 : 404, { 'content-type': type ?? 'text/plain', ...isolated }).end(body)
})
let browser
let page
let loaded

await serveEngine({
  async load({ path, threads, contextLength }) {
    await new Promise((resolve) => server.listen(0, 'localhost', resolve))
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
    page = await browser.newPage()
    await page.goto(`http://localhost:${server.address().port}/`)
    await page.locator('input').setInputFiles(path)
    loaded = await page.evaluate(
      async (params) => {
        const { Wllama } = await import('/wllama.js')
        const wllama = new Wllama({ default: '/wllama.wasm' }, { suppressNativeLog: true })
        await wllama.loadModel([document.querySelector('input').files[0]], { ...params, n_gpu_layers: 0, n_parallel: 1 })
        globalThis.complete = async (prompt, tokens) => {
          const options = { prompt, max_tokens: tokens, temperature: 0, cache_prompt: false, ignore_eos: true }
          const { timings } = await wllama.createCompletion(options)
          return timings
        }
        return { threads: wllama.isMultithread() ? wllama.getNumThreads() : 1, llamaCpp: Wllama.getLibllamaVersion() }
      },
      { n_ctx: contextLength, n_threads: threads },
    )
  },

  async prefill({ ids }) {
    const { prompt_ms } = await complete(ids, 1)
    return { seconds: prompt_ms / 1e3, picks: [] }
  },

  // The first token comes from the prompt; llama.cpp's clock for the others starts after it.
  async decode({ prompt, ids }) {
    const { predicted_ms } = await complete(prompt, ids.length + 1)
    return { seconds: predicted_ms / 1e3, picks: [] }
  },

  about() {
    return { engine: 'wllama', version, runtime: `Chromium ${browser.version()}`, ...loaded, ownProcess: false }
  },

  async close() {
    await browser.close()
    server.close()
  },
})

async function complete(prompt, tokens) {
  const timings = await page.evaluate(([ids, count]) => globalThis.complete(ids, count), [prompt, tokens])
  if (timings.prompt_n !== prompt.length || timings.predicted_n !== tokens) {
    throw new Error(`wllama ran ${timings.prompt_n} + ${timings.predicted_n} tokens, expected ${prompt.length} + ${tokens}`)
  }
  return timings
}
