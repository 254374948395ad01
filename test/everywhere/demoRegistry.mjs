// A registry on loopback that has the demo model under any name, in ranges and from another port than the manifest's.
// Knows nothing of who pulls.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

/** Starts it; `host` goes before a model's name, `sha256` is that of the weights. Close it. */
export async function startDemoRegistry(file) {
  const weights = readFileSync(file)
  const config = Buffer.from('{}')
  const digest = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const blobs = new Map([weights, config].map((bytes) => [digest(bytes), bytes]))
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: digest(config), size: config.length },
    layers: [{ mediaType: 'application/vnd.ollama.image.model', digest: digest(weights), size: weights.length }],
  })
  const blobServer = await listen((request, response) => {
    const bytes = blobs.get(request.url.split('/').pop())
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range) ?? []
    if (!bytes || from === undefined || request.headers.authorization) return response.writeHead(400).end()
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}` })
    response.end(bytes.subarray(Number(from), Number(to) + 1))
  })
  const registry = await listen((request, response) => {
    if (request.url.startsWith('/token')) return response.end('{"token":"demo"}')
    if (request.headers.authorization !== 'Bearer demo') {
      return response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${hostOf(registry)}/token",service="demo"` }).end()
    }
    if (request.url.includes('/manifests/')) return response.end(manifest)
    response.writeHead(307, { location: `http://${hostOf(blobServer)}${request.url}` }).end()
  })
  const close = () => {
    for (const server of [registry, blobServer]) {
      server.closeAllConnections()
      server.close()
    }
  }
  return { host: hostOf(registry), sha256: digest(weights).slice('sha256:'.length), close }
}

function hostOf(server) {
  return `127.0.0.1:${server.address().port}`
}

function listen(answer) {
  const server = createServer(answer)
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}
