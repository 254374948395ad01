// Loads and unloads models in turn, in a process of its own, and prints its memory after each, in bytes. Not a test.

import { createApp, ModelCatalog } from '../../../../dist/server.js'

const load = { threads: 1, sequences: 1, batchSize: 512, kvTokens: 512 }
const catalog = await ModelCatalog.open({ load })
const app = createApp(catalog)
for (let i = 0; i < 12; i++) {
  const body = JSON.stringify({ model: i % 2 ? 'one' : 'two', prompt: 'a', stream: false, options: { num_predict: 1 } })
  await (await app.fetch(new Request('http://localhost/api/generate', { method: 'POST', body }))).text()
  const end = JSON.stringify({ model: i % 2 ? 'one' : 'two', prompt: '', keep_alive: 0 })
  const { done_reason: reason } = await (
    await app.fetch(new Request('http://localhost/api/generate', { method: 'POST', body: end }))
  ).json()
  console.log(JSON.stringify({ reason, loaded: catalog.loaded.length, bytes: process.memoryUsage.rss() }))
}
await app.close()
await catalog.close()
