// GET /: the page for browsers, one file that the build has made of page/, and a sentence for everybody else. Owns the
// page's headers: what may run in it is named by hashes, which the build has written into the file.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { packageVersion } from './packageVersion.js'

interface Page {
  readonly html: Buffer
  readonly zipped: Buffer
  readonly etag: string
  readonly policy: string
}

let page: Page | undefined

/** Answers a request for `/`. */
export function front({ headers }: Request): Response {
  const vary = 'accept, accept-encoding'
  if (takesHtml(headers)) page ??= readPage()
  if (!page || !takesHtml(headers)) {
    return new Response(`mixtral-wasm ${packageVersion()} is running`, { headers: { 'content-type': 'text/plain; charset=UTF-8', vary } })
  }
  const { html, zipped, etag, policy } = page
  const common = {
    vary,
    etag,
    'cache-control': 'no-cache', // asks whether it is still the same
    'content-security-policy': `${policy}; frame-ancestors 'none'`,
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  }
  if (headers.get('if-none-match')?.includes(etag)) return new Response(null, { status: 304, headers: common })
  const zips = /\bgzip\b/.test(headers.get('accept-encoding') ?? '')
  return new Response(new Uint8Array(zips ? zipped : html), {
    headers: { ...common, 'content-type': 'text/html; charset=UTF-8', ...(zips && { 'content-encoding': 'gzip' }) },
  })
}

function takesHtml(headers: Headers): boolean {
  return headers.get('accept')?.includes('text/html') ?? false
}

/** Undefined where a bundler has taken the server and not its page. */
function readPage(): Page | undefined {
  const file = new URL('./page.html', import.meta.url)
  if (!existsSync(file)) return undefined
  const html = readFileSync(file)
  const [, policy = "default-src 'none'"] = /<meta http-equiv="Content-Security-Policy" content="([^"]+)">/.exec(html.toString()) ?? []
  const etag = `"${createHash('sha256').update(html).digest('base64url').slice(0, 22)}"`
  return { html, zipped: gzipSync(html, { level: 9 }), etag, policy }
}
