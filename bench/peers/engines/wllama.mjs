// wllama: llama.cpp compiled to WebAssembly, in a headless Chromium (CHROMIUM says which; default: /usr/bin/chromium).
// It takes no tokens but text: a prompt is text of as many tokens, a decode a greedy completion, and llama.cpp's own
// clock times both. The page only calls wllama.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
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
let tokenizer

await serveEngine({
  async load({ path, threads, contextLength }) {
    tokenizer = Tokenizer.fromGgufMetadata((await openGguf(path)).metadata)
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

async function complete(ids, tokens) {
  const timings = await page.evaluate(([prompt, count]) => globalThis.complete(prompt, count), [textLike(ids), tokens])
  if (timings.prompt_n !== ids.length || timings.predicted_n !== tokens) {
    throw new Error(`wllama ran ${timings.prompt_n} + ${timings.predicted_n} tokens, expected ${ids.length} + ${tokens}`)
  }
  return timings
}

/**
 * Text that encodes to as many tokens as `ids`, in words that add one token each: their pieces, or those next in the
 * vocabulary.
 */
function textLike(ids) {
  let text = ''
  for (let count = 1; count < ids.length; count++) {
    for (let id = ids[count]; ; id = (id + 1) % tokenizer.vocabSize) {
      const longer = `${text} ${tokenizer.decode([id]).trim()}`.trimStart()
      if (tokenizer.encode(longer, { addBos: true }).length !== count + 1) continue
      text = longer
      break
    }
  }
  return text
}
