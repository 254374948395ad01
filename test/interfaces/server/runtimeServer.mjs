// The demo model behind servers in the runtime that runs this, for tests that run in another: a line of JSON on stdin
// is a call, one on stdout its result, or a line of a server's log.

import process from 'node:process'
import { createInterface } from 'node:readline'
import { MixtralModel } from '../../../dist/index.js'
import { serve } from '../../../dist/server.js'

const servers = new Map()
let model
let held

const calls = {
  async load(options) {
    model = await MixtralModel.load('demo', options)
  },
  async serve(key, options) {
    const server = await serve(model, { ...options, log: (entry) => send({ key, entry }) })
    servers.set(key, server)
    return { url: server.url, port: server.port }
  },
  close: (key) => servers.get(key).close(),
  status: () => model.status(),
  async hold() {
    held = model.traceEach([1, 2, 3], { hold: true })
    await held.next()
  },
  release: () => held.return(undefined),
  rss: () => process.memoryUsage().rss,
}

function send(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

process.on('unhandledRejection', (error) => send({ fault: String(error) }))
for await (const line of createInterface({ input: process.stdin })) {
  const { id, call, args } = JSON.parse(line)
  Promise.resolve(calls[call](...args)).then(
    (result) => send({ id, result: result ?? null }),
    (error) => send({ id, error: String(error), code: error.code }),
  )
}
await model?.close()
process.exit(0)
