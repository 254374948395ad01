// A real Chromium for the tests of the page, without network but to this machine: Debian's package, or what CHROMIUM
// names. Where there is none, tests are skipped with a warning; on CI they fail.

import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect } from 'vitest'
import type { ServerApp } from '../../../dist/server.js'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const program = [process.env.CHROMIUM, ...PLACES].find((place) => place !== undefined && existsSync(place))

export const hasChromium = program !== undefined
if (!hasChromium) {
  const why = `no Chromium at ${PLACES.join(', ')} or in CHROMIUM`
  if (process.env.CI) throw new Error(`${why}: on CI, the page must be tested`)
  console.warn(`\nTHE PAGE IS NOT TESTED: ${why}\n`)
}

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']

export interface Visitor {
  /** A browser without history, at the page. Everything that it asks for is noted in `asked`. */
  visit(url: string, options?: Parameters<Browser['newContext']>[0], before?: (context: BrowserContext) => Promise<unknown>): Promise<Page>
  /** URLs that pages asked for. */
  readonly asked: string[]
  /** Errors of pages, and what their policy has refused. */
  readonly complaints: string[]
}

/** Starts the browser before the tests of a file, and ends it after them. */
export function withBrowser(): Visitor {
  let browser: Browser | undefined
  const asked: string[] = []
  const complaints: string[] = []
  beforeAll(async () => {
    // a profile of its own, which goes with the browser
    if (program)
      browser = await chromium.launch({ executablePath: program, args: [...FLAGS, '--disable-component-update', '--disable-sync'] })
  })
  afterAll(async () => browser?.close())
  return {
    asked,
    complaints,
    async visit(url, options = {}, before) {
      const context = await browser!.newContext({ viewport: { width: 1280, height: 800 }, ...options })
      context.setDefaultTimeout(8000)
      context.on('request', (request) => asked.push(request.url()))
      context.on('weberror', (error) => complaints.push(error.error().message))
      context.on('console', (message) => {
        if (/Content Security Policy|Trusted/.test(message.text())) complaints.push(message.text())
      })
      await before?.(context)
      const page = await context.newPage()
      await page.goto(url)
      return page
    },
  }
}

export async function ask(page: Page, question: string): Promise<void> {
  const asked = await page.locator('.message.user').count()
  await page.getByLabel('Your message').fill(question)
  await page.keyboard.press('Enter')
  await page.locator('.message.user').nth(asked).waitFor()
}

/** Waits until no answer is written. */
export async function answered(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Send' }).waitFor()
}

/** Opens the settings, sets fields by their labels, and closes them. */
export async function setFields(page: Page, fields: Readonly<Record<string, string>>): Promise<void> {
  await page.getByRole('button', { name: 'Settings' }).click()
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value)
  await page.getByRole('button', { name: 'Close the panel' }).click()
}

/** Waits until the last answer has this text. */
export async function seesAnswer(page: Page, text: string): Promise<void> {
  const last = page.locator('.message.assistant :is(.markdown, .colored)').last()
  await expect.poll(async () => (await last.textContent())!.trim(), { timeout: 5000 }).toBe(text)
}

export interface Gate {
  readonly url: string
  /** Lets all answers go on. */
  open(): void
  close(): void
}

/** How many tokens an event of a chat tells the experts of. */
function tokensIn(event: string): number {
  if (!event.startsWith('data: {')) return 0
  return JSON.parse(event.slice(6)).choices[0]?.routed_experts?.length ?? 0
}

/**
 * A server whose streams stop after `most` tokens, or what else is counted in an event, until they may go on: tests
 * look at answers that are half written.
 */
export async function gated(app: () => ServerApp, most: number, countIn = tokensIn): Promise<Gate> {
  let open: () => void = () => {}
  let gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const server = createServer(async (incoming, outgoing) => {
    const { method = 'GET', headers } = incoming
    const body = method === 'GET' ? null : (Readable.toWeb(incoming) as ReadableStream)
    const url = `http://${headers.host}${incoming.url}`
    const response = await app().fetch(new Request(url, { method, headers: headers as HeadersInit, body, duplex: 'half' } as RequestInit))
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    const reader = response.body?.getReader()
    outgoing.on('close', () => reader?.cancel())
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
    let passed = 0
    while (reader) {
      const { done, value } = await reader.read()
      if (done) break
      if (!isStream) outgoing.write(value)
      else {
        for (const event of Buffer.from(value)
          .toString()
          .split(/(?<=\n\n)/)) {
          outgoing.write(event)
          passed += countIn(event)
          if (passed === most) await gate
        }
      }
    }
    outgoing.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open() {
      open()
      gate = Promise.resolve()
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
