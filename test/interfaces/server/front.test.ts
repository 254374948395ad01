// GET /: the page as a file, and who gets it. What happens in it is tested in page.test.ts.

import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { gunzipSync, gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { withServer } from './served.js'

const served = withServer({ apiKeys: ['key'] })
const html = { accept: 'text/html,application/xhtml+xml;q=0.9' }

interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: Buffer
}

/** With nothing but the given headers, and the bytes as they come. */
function front(headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(`${served.server.url}/`, { method, headers }, async (response) => {
      const body = Buffer.concat(await response.toArray())
      resolve({ status: response.statusCode!, headers: response.headers as Record<string, string>, body })
    })
    sent.on('error', reject).end()
  })
}

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

test('browsers get the page, without a key; programs get a sentence', async () => {
  const page = await front(html)
  expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=UTF-8'])
  expect(page.body.toString()).toMatch(/^<!doctype html>/)
  const sentence = await front()
  expect(sentence.body.toString()).toMatch(/^mixtral-wasm [\d.]+ is running$/)
  expect(sentence.headers['content-type']).toBe('text/plain; charset=UTF-8')
  expect((await front({}, 'HEAD')).status).toBe(200)
  for (const { headers } of [page, sentence]) expect(headers.vary).toBe('accept, accept-encoding')
})

test('the policy allows the script and the style by their hashes, and nothing else', async () => {
  const { headers, body } = await front(html)
  const text = body.toString()
  const [script, ...scripts] = [...text.matchAll(/<script>(.*?)<\/script>/gs)].map(([, code]) => code!)
  const [style, ...styles] = [...text.matchAll(/<style>(.*?)<\/style>/gs)].map(([, code]) => code!)
  expect([scripts, styles]).toEqual([[], []])
  const rules = Object.fromEntries(headers['content-security-policy']!.split('; ').map((rule) => rule.split(/ (.*)/).slice(0, 2)))
  expect(rules).toEqual({
    'default-src': "'none'",
    'script-src': hashOf(script!),
    'style-src': hashOf(style!),
    'img-src': 'data:',
    'connect-src': "'self'",
    'base-uri': "'none'",
    'form-action': "'none'",
    'frame-ancestors': "'none'",
    'require-trusted-types-for': "'script'",
    'trusted-types': 'dompurify',
  })
  expect(headers).toMatchObject({
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  })
})

test('the page is one file below 150 KB, with nothing from elsewhere and no handler in its markup', async () => {
  const { body } = await front(html)
  expect(gzipSync(body).length).toBeLessThan(150_000)
  const markup = body.toString().replace(/<script>.*?<\/script>|<style>.*?<\/style>/gs, '')
  expect(markup).not.toMatch(/\bon\w+=|<link(?! rel="icon" href="data:)|src=|@import|style=/)
  const [style] = /<style>.*?<\/style>/s.exec(body.toString())!
  expect(style).not.toMatch(/url\(|@import/)
})

test('it is compressed where that is wanted, and not sent again where it is known', async () => {
  const plain = await front(html)
  const zipped = await front({ ...html, 'accept-encoding': 'gzip, br' })
  expect(zipped.headers['content-encoding']).toBe('gzip')
  expect(gunzipSync(zipped.body).equals(plain.body)).toBe(true)
  expect(Number(zipped.headers['content-length'])).toBe(zipped.body.length)
  const again = await front({ ...html, 'if-none-match': plain.headers.etag! })
  expect([again.status, again.body.length]).toEqual([304, 0])
  expect(plain.headers['cache-control']).toBe('no-cache')
})

test('a link to the page may stand anywhere; other requests of other pages are refused', async () => {
  const elsewhere = { ...html, 'sec-fetch-site': 'cross-site' }
  expect((await front({ ...elsewhere, 'sec-fetch-dest': 'document' })).status).toBe(200)
  expect((await front({ ...elsewhere, 'sec-fetch-dest': 'iframe' })).status).toBe(403)
  expect((await front({ ...html, host: 'evil.example' })).status).toBe(403)
  const metrics = await fetch(`${served.server.url}/metrics`, { headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'document' } })
  expect(metrics.status).toBe(403)
})
