// The page of a server in a real Chromium: what a person does with it, and what nobody must be able to do to it.

import { readFile } from 'node:fs/promises'
import { Ajv } from 'ajv'
import axe from 'axe-core'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { createApp, type RequestLog, serve } from '../../../dist/server.js'
import { answered, ask, gated, hasChromium, seesAnswer, setFields, withBrowser } from './browser.js'
import { until, withServer } from './served.js'

/** Numbers that take the model some time to write. */
const MANY = JSON.stringify({ type: 'array', items: { type: 'integer' }, minItems: 120 })
/** So many events of an answer come before a gate. */
const TOKENS = 12
const question = 'What is the capital of France?'
const answer = 'The capital of France is Paris.'

describe.skipIf(!hasChromium)('the page', () => {
  const served = withServer()
  const browser = withBrowser()
  const others: { readonly url: string; close(): void }[] = []
  const visit = (...more: Parameters<typeof browser.visit> extends [string, ...infer Rest] ? Rest : never) =>
    browser.visit(served.server.url, ...more)
  const another = async (options: Parameters<typeof serve>[1] = {}) => {
    const server = await serve(served.model, { port: 0, name: 'demo', graceSeconds: 0, ...options })
    others.push(server)
    return server
  }
  const halfLogs: RequestLog[] = []
  const half = async () => {
    const app = createApp(served.model, { name: 'demo', log: (entry) => halfLogs.push(entry) })
    const gate = await gated(() => app, TOKENS)
    others.push(gate)
    return gate
  }

  afterEach(() => {
    // whatever a test does, no page complains, and none asks anybody but its server
    expect(browser.complaints.splice(0)).toEqual([])
    const origins = new Set(browser.asked.splice(0).map((url) => new URL(url).origin))
    for (const { url } of [served.server, ...others]) origins.delete(url)
    expect([...origins].filter((origin) => origin !== 'null')).toEqual([])
  })
  afterAll(async () => {
    for (const server of others) await server.close()
  })

  test('a chat: the answer, its figures, the context used, and a title', async () => {
    const page = await visit()
    await setFields(page, { Temperature: '0' })
    await ask(page, question)
    await answered(page)
    await seesAnswer(page, answer)
    const figures = await page.locator('.figures').textContent()
    expect(figures).toMatch(/^7 tokens( · [\d.]+ tokens\/s)? · first after [\d.]+ s · prompt 14$/)
    await expect.poll(() => page.getByRole('meter', { name: 'Context used' }).getAttribute('aria-valuetext')).toBe('21 of 512 tokens')
    await expect.poll(() => page.title()).toBe(`${question} · mixtral`)
    // screen readers hear of it once, when it has ended
    await expect.poll(() => page.locator('[aria-live]').textContent()).toBe(answer)
    await expect.poll(() => page.locator('.transcript').getAttribute('aria-busy')).toBe('false')
    // the second question has the first and its answer before it
    await ask(page, 'What is 7 + 5?')
    await answered(page)
    await expect.poll(() => page.locator('.figures').last().textContent()).toMatch(/cached$/)
    expect(served.logs.at(-1)!.cachedTokens).toBeGreaterThan(14)
    await page.context().close()
  })

  test('stop ends the answer on the server too; what is there stays, and goes on when asked to', async () => {
    const gate = await half()
    const page = await browser.visit(gate.url)
    await setFields(page, { Temperature: '0', 'JSON schema of answers': MANY })
    await ask(page, 'Count.')
    await page.waitForFunction(() => document.querySelector('.code')?.textContent.includes('[') ?? false)
    await page.keyboard.press('Escape')
    await answered(page)
    await until(() => halfLogs.at(-1)?.outcome === 'left')
    await expect.poll(() => page.locator('.figures').textContent()).toMatch(/^\d+ tokens · .* · prompt \d+(, \d+ cached)? · stopped$/)
    const [, written, prompt] = /^(\d+) tokens .* prompt (\d+)/.exec((await page.locator('.figures').textContent())!)!
    expect(await page.getByRole('meter', { name: 'Context used' }).getAttribute('aria-valuetext')).toBe(
      `${Number(written) + Number(prompt)} of 512 tokens`,
    )
    const before = (await page.locator('.code pre').textContent())!
    expect(before).toMatch(/^\[ ?\d/)
    gate.open()
    const sent = page.waitForRequest('**/v1/chat/completions')
    await page.getByRole('button', { name: 'Go on' }).click()
    expect((await sent).postDataJSON().messages.at(-1)).toEqual({ role: 'assistant', content: before })
    await page.waitForFunction((length) => document.querySelector('.code pre')!.textContent.length > length, before.length)
    expect((await page.locator('.code pre').textContent())!.startsWith(before)).toBe(true)
    await page.keyboard.press('Escape')
    await answered(page)
    await page.context().close()
  })

  test('an edited question is a branch, and another answer is one; all stay, and can be gone to', async () => {
    const page = await visit()
    await setFields(page, { Temperature: '0' })
    await ask(page, question)
    await answered(page)
    await page.getByRole('button', { name: 'Edit, and ask again' }).click()
    await page.getByRole('textbox', { name: 'Your message' }).first().fill('What is 7 + 5?')
    await page.keyboard.press('Enter')
    await answered(page)
    await seesAnswer(page, '7 + 5 = 12.')
    const branches = page.locator('.branches').first()
    await expect.poll(() => branches.textContent()).toBe('2/2')
    await branches.getByRole('button', { name: 'Earlier branch' }).click()
    await seesAnswer(page, answer)
    await page.getByRole('button', { name: 'Another answer' }).click()
    await expect.poll(() => page.locator('.branches').allTextContents()).toEqual(['1/2', '2/2'])
    await answered(page)
    expect(served.logs.at(-1)!.cachedTokens).toBe(13) // the whole prompt but for the token that is computed in any case
    // an answer that is written anew is what later questions build on
    await page.getByRole('button', { name: 'Edit the answer' }).click()
    await page.getByRole('textbox', { name: 'The answer' }).fill('Lyon.')
    await page.getByRole('button', { name: 'Keep' }).click()
    await seesAnswer(page, 'Lyon.')
    const sent = page.waitForRequest('**/v1/chat/completions')
    await ask(page, 'Why?')
    expect((await sent).postDataJSON().messages).toEqual([
      { role: 'user', content: question },
      { role: 'assistant', content: 'Lyon.' },
      { role: 'user', content: 'Why?' },
    ])
    await page
      .getByRole('button', { name: 'Stop' })
      .click({ timeout: 1000 })
      .catch(() => {})
    await page.context().close()
  })

  test('options, the system message and a schema go with the request, and the answer follows the schema', async () => {
    const page = await visit()
    const schema = {
      type: 'object',
      properties: { city: { type: 'string', maxLength: 20 } },
      required: ['city'],
      additionalProperties: false,
    }
    await setFields(page, {
      ...{ Temperature: '0.5', 'Most tokens': '60', 'Top p': '0.9', 'Top k': '40', 'Min p': '0.05', Seed: '7' },
      ...{ 'Stop texts': 'END', 'System message': 'Be brief.', 'JSON schema of answers': JSON.stringify(schema) },
    })
    const sent = page.waitForRequest('**/v1/chat/completions')
    await ask(page, question)
    expect((await sent).postDataJSON()).toMatchObject({
      ...{ temperature: 0.5, max_tokens: 60, top_p: 0.9, top_k: 40, min_p: 0.05, seed: 7, stop: ['END'], stream: true },
      messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user' }],
      response_format: { type: 'json_schema', json_schema: { schema } },
    })
    await answered(page)
    const written = JSON.parse((await page.locator('.code pre').textContent())!)
    expect(new Ajv().validate(schema, written)).toBe(true)
    await page.getByRole('button', { name: 'Settings' }).click()
    await page.getByLabel('Top p', { exact: true }).fill('7')
    await page.getByText('expected a number from 0 to 1').waitFor()
    await page.getByLabel('JSON schema of answers').fill('{"type":')
    await page.getByText('This is no JSON yet').waitFor()
    await page.context().close()
  })

  test('the heat map has the counts of the library, a token its experts and weights, the text the colors of a layer', async () => {
    const page = await visit()
    await setFields(page, { Temperature: '0' })
    await page.getByRole('button', { name: 'Experts at work', exact: true }).click()
    await ask(page, question)
    await answered(page)
    const { layers, experts, expertsPerToken: used } = served.model.config
    const told: { ids: Uint16Array; weights: Float32Array }[] = []
    for await (const piece of served.model.streamChat([{ role: 'user', content: question }], { temperature: 0, experts: true })) {
      told.push(...(piece.experts ?? []))
    }
    const counts = new Array<number>(layers * experts).fill(0)
    for (const { ids } of told) for (const [i, id] of ids.entries()) counts[Math.floor(i / used) * experts + id]!++
    const cells = page.locator('.heat td[data-uses]')
    await expect.poll(() => cells.evaluateAll((all) => all.map((cell) => Number((cell as HTMLElement).dataset.uses)))).toEqual(counts)

    const at = Math.min(3, layers - 1)
    await page.getByRole('slider').fill(String(at))
    const firsts = told.slice(0, -1).map(({ ids }) => String(ids[at * used]))
    const shown = () => page.locator('.token').evaluateAll((all) => all.map((one) => (one as HTMLElement).dataset.expert))
    await expect.poll(shown).toEqual(firsts)

    await page.locator('.token').nth(2).click()
    const weights = new Array<string>(layers * experts).fill('')
    told[2]!.ids.forEach((id, i) => {
      weights[Math.floor(i / used) * experts + id] = String(Math.round(told[2]!.weights[i]! * 100))
    })
    await expect.poll(() => page.locator('.heat .weight').allTextContents()).toEqual(weights)
    await page.getByRole('button', { name: 'Next token' }).click()
    await expect.poll(() => page.locator('.token[aria-selected="true"]').textContent()).toBe(' France')
    await page.context().close()
  })

  test('the heat map lives while the answer is written', async () => {
    const gate = await half()
    const page = await browser.visit(gate.url)
    await setFields(page, { Temperature: '0', 'Most tokens': '60', 'JSON schema of answers': MANY })
    await page.getByRole('button', { name: 'Experts at work', exact: true }).click()
    await ask(page, 'Count.')
    const { layers, expertsPerToken: used } = served.model.config
    const tokens = async () => Number(await page.locator('.scope strong').textContent())
    const uses = () =>
      page.locator('.heat td[data-uses]').evaluateAll((all) => all.reduce((sum, one) => sum + Number((one as HTMLElement).dataset.uses), 0))
    await page.locator('.scope strong', { hasText: String(TOKENS) }).waitFor()
    await page.locator('.speed', { hasText: new RegExp(`^[\\d.]+ tokens/s · ${TOKENS} tokens$`) }).waitFor()
    await expect.poll(() => page.locator('.heat td.now').count()).toBe(layers * used)
    await expect.poll(uses).toBe(TOKENS * layers * used) // a moment after the text
    await expect.poll(() => page.locator('.transcript').getAttribute('aria-busy')).toBe('true')
    gate.open()
    await answered(page)
    await expect.poll(tokens).toBe(60)
    await expect.poll(uses).toBe(60 * layers * used)
    await expect.poll(() => page.locator('.heat td.now').count()).toBe(0)
    await page.context().close()
  })

  test('a reload keeps conversations, their branches and their experts', async () => {
    const page = await visit()
    await setFields(page, { Temperature: '0', 'System message': 'Be kind.' })
    await ask(page, question)
    await answered(page)
    await page.getByRole('button', { name: 'Another answer' }).click()
    await page.locator('.branches').waitFor()
    await page.reload()
    await seesAnswer(page, answer)
    await expect.poll(() => page.locator('.branches').textContent()).toBe('2/2')
    await page.getByRole('button', { name: 'Experts at work', exact: true }).click()
    await page.locator('.heat').waitFor()
    await expect.poll(() => page.locator('.token').count()).toBe(7)
    await page.getByRole('button', { name: 'Settings' }).click()
    expect(await page.getByLabel('System message').inputValue()).toBe('Be kind.')
    expect(await page.getByLabel('Temperature').inputValue()).toBe('0')
    // another tab has the same conversations, and changes of one are seen in the other
    const tab = await page.context().newPage()
    await tab.goto(served.server.url)
    await tab.getByRole('button', { name: `Rename ${question}` }).click()
    await tab.getByLabel('New title').fill('France')
    await tab.keyboard.press('Enter')
    await page.locator('.sidebar .title', { hasText: /^France$/ }).waitFor()
    await page.context().close()
  })

  test('conversations go into a file and come back from it, in another browser too; twice is once', async () => {
    const page = await visit()
    await setFields(page, { Temperature: '0' })
    await ask(page, question)
    await answered(page)
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Export' }).click()
    const buffer = await readFile(await (await download).path())
    const file = { name: 'chats.json', mimeType: 'application/json', buffer }
    expect(JSON.parse(buffer.toString())).toMatchObject({
      format: 'mixtral-wasm-chats',
      version: 1,
      conversations: [{ title: question }],
    })
    await page.getByRole('button', { name: `Delete ${question}` }).click()
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await expect.poll(() => page.locator('.message').count()).toBe(0)
    await page.context().close()

    const other = await visit()
    await other.locator('input[type=file]').setInputFiles(file)
    await other.getByText('1 conversation brought in.').waitFor()
    await seesAnswer(other, answer)
    await other.getByRole('button', { name: 'Experts at work', exact: true }).click()
    await other.locator('.heat').waitFor()
    await other.locator('input[type=file]').setInputFiles(file)
    await other.getByText('Nothing in the file was new.').waitFor()
    await other
      .locator('input[type=file]')
      .setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{"format": 1}') })
    await other.getByText('The file was not taken').waitFor()
    await other.context().close()
  })

  test('when the server is gone, that is said, the history is readable, and the page finds the server again', async () => {
    const server = await another()
    const page = await browser.visit(server.url)
    await setFields(page, { Temperature: '0' })
    await ask(page, question)
    await answered(page)
    await server.close()
    await ask(page, 'Are you there?')
    await page.getByText('The server does not answer. It may have ended').first().waitFor()
    await page.getByRole('button', { name: 'New conversation' }).first().click()
    await page.locator('.sidebar .title').first().click()
    await expect.poll(() => page.locator('.message').first().textContent()).toContain(question)
    const next = await serve(served.model, { port: server.port, name: 'demo', graceSeconds: 0 })
    others.push(next)
    await page.getByRole('button', { name: 'Look now' }).click()
    await page.locator('.notice').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Try again' }).click()
    await answered(page)
    await expect.poll(() => page.locator('.failure').count()).toBe(0)
    await page.context().close()
  })

  test('a key is asked for where the server wants one, and kept for the tab or for longer', async () => {
    const server = await another({ apiKeys: ['secret-key'] })
    const page = await browser.visit(server.url)
    const dialog = page.getByRole('dialog', { name: 'The server wants an API key' })
    await dialog.getByLabel('API key').fill('wrong')
    await page.keyboard.press('Enter')
    await dialog.getByText('not one of the server').waitFor()
    await dialog.getByLabel('API key').fill('secret-key')
    await page.keyboard.press('Enter')
    await dialog.waitFor({ state: 'hidden' })
    await ask(page, question)
    await answered(page)
    await expect.poll(() => page.locator('.failure').count()).toBe(0)
    await page.reload()
    await page.locator('.model', { hasText: 'demo' }).waitFor()
    expect(await page.evaluate(() => Object.values(localStorage).join())).not.toContain('secret-key')
    await page.context().close()
  })

  test('what a server says of a full queue, a long prompt or an error in a stream is said in words', async () => {
    const page = await visit()
    const refuse = (status: number, error: object, headers = {}) =>
      page.route('**/v1/chat/completions', (route) => route.fulfill({ status, headers, json: { error } }), { times: 1 })
    await refuse(503, { message: 'the queue is full' }, { 'retry-after': '2' })
    await ask(page, 'a')
    await page.getByText('The server takes no request at the moment: the queue is full.').first().waitFor()
    await page.route('**/v1/chat/completions', () => {}, { times: 1 })
    const metrics = 'mixtral_sequences_running 3\nmixtral_sequences_waiting 2\n'
    await page.route('**/metrics', (route) => route.fulfill({ body: metrics }))
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText('3 answers are written now, 2 wait in the queue').waitFor()
    await page.keyboard.press('Escape')
    await answered(page)
    await refuse(400, { message: 'too long', n_prompt_tokens: 900, n_ctx: 512 })
    await ask(page, 'b')
    await page.getByText('has 900 tokens, and the context has room for 512').first().waitFor()
    const body =
      'data: {"choices":[{"index":0,"delta":{"content":"It was"}}]}\n\ndata: {"error":{"message":"the server is shutting down"}}\n\n'
    await page.route('**/v1/chat/completions', (route) => route.fulfill({ contentType: 'text/event-stream', body }), { times: 1 })
    await ask(page, 'c')
    await page.getByText('The server has ended the answer: the server is shutting down.').first().waitFor()
    await seesAnswer(page, 'It was')
    await page.context().close()
  })

  test('while the prompt is read, it is told how far', async () => {
    const real = createApp(served.model, { name: 'demo' })
    const events = [
      { prompt_progress: { total: 900, cache: 100, processed: 300, time_ms: 5 } },
      { choices: [{ index: 0, delta: { content: 'Done.' } }] },
    ]
    const stream = () =>
      new ReadableStream({
        start(controller) {
          for (const data of [...events.map((event) => JSON.stringify(event)), '[DONE]'])
            controller.enqueue(new TextEncoder().encode(`data: ${data}\n\n`))
          controller.close()
        },
      })
    const fetch = async (request: Request) =>
      request.method === 'POST' ? new Response(stream(), { headers: { 'content-type': 'text/event-stream' } }) : real.fetch(request)
    const gate = await gated(
      () => ({ ...real, fetch }),
      1,
      () => 1,
    )
    others.push(gate)
    const page = await browser.visit(gate.url)
    await ask(page, question)
    await page.getByText('Reading the prompt: 300 of 900 tokens').waitFor()
    gate.open()
    await answered(page)
    await seesAnswer(page, 'Done.')
    await page.context().close()
  })

  test('several models are a choice, and requests ask for the chosen one', async () => {
    const list = { object: 'list', data: [{ id: 'demo' }, { id: 'mixtral:8x7b', meta: { n_ctx: 32768 } }] }
    const page = await visit({}, (context) => context.route('**/v1/models', (route) => route.fulfill({ json: list })))
    await page.getByLabel('Model', { exact: true }).selectOption('mixtral:8x7b')
    const sent = page.waitForRequest('**/v1/chat/completions')
    await ask(page, question)
    expect((await sent).postDataJSON().model).toBe('mixtral:8x7b')
    await page.getByText('The server does not know that').first().waitFor()
    await page.context().close()
  })

  test('nothing hostile in an answer or in a history file becomes anything but text', async () => {
    const hostile = [
      '<script>window.pwned = 1</script> <img src=x onerror="window.pwned = 2"> <svg onload="window.pwned = 3"></svg>',
      '[click](javascript:window.pwned=4) [data](data:text/html,<script>window.pwned=5</script>) [good](https://example.org/)',
      '![picture](https://evil.example/track.png) <https://example.org/auto> <iframe src="https://evil.example"></iframe>',
      '<a href="https://evil.example" onclick="window.pwned = 6">x</a> <form action="https://evil.example"><button>go</button></form>',
      '# <b onmouseover="window.pwned = 7">title</b>\n\n| a | b |\n|---|---|\n| <style>*{display:none}</style> | ![](https://evil.example/2.png) |',
      '```js" onclick="window.pwned = 8\n<img src=x onerror="window.pwned = 9">\n```',
      '[ref]: javascript:window.pwned=10\n\n[a reference][ref] &lt;img src=x onerror=window.pwned=11&gt;',
    ].join('\n\n')
    const page = await visit()
    const body = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: hostile } }] })}\n\ndata: [DONE]\n\n`
    await page.route('**/v1/chat/completions', (route) => route.fulfill({ contentType: 'text/event-stream', body }), { times: 1 })
    await ask(page, hostile)
    await answered(page)
    const message = (id: string, parent: string | null, role: string) => ({
      id,
      parent,
      role,
      content: hostile,
      created: 1,
      error: hostile,
      model: hostile,
    })
    const conversations = [
      {
        ...{ id: 'c1', title: hostile, created: 1, updated: 2, system: hostile, schema: '' },
        messages: [message('m1', null, 'user'), message('m2', 'm1', 'assistant')],
        chosen: { __proto__: null, '': 'm1' },
      },
    ]
    const text = JSON.stringify({ format: 'mixtral-wasm-chats', version: 1, conversations })
    for (const imports of [false, true]) {
      if (imports) {
        await page.locator('input[type=file]').setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from(text) })
        await page.getByText('1 conversation brought in.').waitFor()
      }
      const found = await page.locator('.message.assistant .markdown').evaluate((box) => ({
        elements: [...new Set(Array.from(box.querySelectorAll('*'), ({ tagName }) => tagName.toLowerCase()))].sort(),
        attributes: [...new Set(Array.from(box.querySelectorAll('*'), (one) => [...one.attributes].map(({ name }) => name)).flat())].sort(),
        links: Array.from(box.querySelectorAll('a'), ({ href, rel, target }) => [href, rel, target].join(' ')),
      }))
      const usual = ['a', 'button', 'code', 'div', 'h3', 'p', 'pre', 'span', 'table', 'tbody', 'td', 'th', 'thead', 'tr']
      expect(found.elements).toEqual(usual)
      expect(found.attributes).toEqual(['aria-label', 'class', 'href', 'rel', 'role', 'tabindex', 'target', 'type'])
      expect(found.links.filter((link) => !/^(https:\S* noopener noreferrer nofollow _blank| {2}| +noopener.*)$/.test(link))).toEqual([])
      expect(found.links.some((link) => link.startsWith('https://example.org/ '))).toBe(true)
      expect(found.links.some((link) => /javascript|^data/.test(link))).toBe(false)
      expect(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned)).toBeUndefined()
      await expect.poll(() => page.locator('.message.assistant .markdown').textContent()).toContain('<script>window.pwned = 1</script>')
    }
    await page.context().close()
  })

  test('axe has nothing to find, in the light and in the dark', { timeout: 60_000 }, async () => {
    const page = await visit({ colorScheme: 'light', reducedMotion: 'reduce' })
    const findings: string[] = []
    await page.evaluate(axe.source)
    const run = (what: string, rules: readonly string[]) =>
      page
        .evaluate((rules) => {
          const { axe: checker } = window as unknown as { axe: typeof axe }
          return checker.run(rules.length > 0 ? { runOnly: { type: 'rule', values: [...rules] } } : {})
        }, rules)
        .then(({ violations }) => {
          findings.push(...violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${what}: ${id}: ${html.slice(0, 200)}`)))
        })
    const look = async (what: string) => {
      await run(what, [])
      await page.emulateMedia({ colorScheme: 'dark' })
      await run(`${what}, dark`, ['color-contrast'])
      await page.emulateMedia({ colorScheme: 'light' })
    }
    await look('welcome')
    const rich = '# A\n\n- b\n- `c`\n\n> d\n\n```js\ne\n```\n\n| f | g |\n|--|--|\n| h | [i](https://example.org) |'
    const body = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: rich } }] })}\n\n`
    await page.route('**/v1/chat/completions', (route) => route.fulfill({ contentType: 'text/event-stream', body }), { times: 1 })
    await page.getByRole('button', { name: 'Settings' }).click()
    await page.getByLabel('Temperature', { exact: true }).fill('0')
    await page.getByLabel('Top p').fill('7')
    await ask(page, question)
    await page.locator('.failure').waitFor()
    await page.locator('.message.user').getByRole('button', { name: 'Edit' }).click()
    await page.getByRole('button', { name: 'Delete ' }).click()
    await look('Markdown, an error, settings, an editor, a question')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Try again' }).click()
    await answered(page)
    await page.getByRole('button', { name: 'Experts at work', exact: true }).click()
    await page.getByLabel('Write their numbers').check()
    await look('experts')
    await page.locator('.token').nth(2).click()
    await page.setViewportSize({ width: 320, height: 640 })
    await look('a token, narrow')
    await page.getByRole('button', { name: 'Conversations' }).click()
    await look('the list of conversations, narrow')
    expect(findings).toEqual([])
    await page.context().close()
  })

  test('320 pixels are enough: nothing scrolls sideways', async () => {
    const page = await visit({ viewport: { width: 320, height: 640 }, hasTouch: true })
    const wide = () =>
      page.evaluate(() =>
        [document.documentElement, ...document.querySelectorAll('.transcript, .panel-body, .sidebar, main, header')]
          .filter((box) => box.scrollWidth > box.clientWidth + 1 || box.scrollWidth > 321)
          .map(({ className, scrollWidth }) => `${className} ${scrollWidth}`),
      )
    const long = `${'W'.repeat(200)} [${'link'.repeat(30)}](https://example.org) \`${'code'.repeat(50)}\`\n\n\`\`\`\n${'x'.repeat(300)}\n\`\`\`\n\n| ${'head | '.repeat(9)}\n|${'---|'.repeat(9)}\n| ${'cell | '.repeat(9)}`
    const body = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: long } }] })}\n\ndata: [DONE]\n\n`
    expect(await wide()).toEqual([])
    expect(await page.evaluate(() => document.activeElement === document.body)).toBe(true) // no keyboard jumps up by itself
    await page.route('**/v1/chat/completions', (route) => route.fulfill({ contentType: 'text/event-stream', body }), { times: 1 })
    await ask(page, long)
    await answered(page)
    expect(await wide()).toEqual([])
    await page.getByRole('button', { name: 'Settings' }).click()
    expect(await wide()).toEqual([])
    await page.getByRole('button', { name: 'Experts at work', exact: true }).click()
    await page.getByRole('button', { name: 'New conversation' }).click()
    await ask(page, question)
    await page.locator('.heat').waitFor()
    await answered(page)
    expect(await wide()).toEqual([])
    // what is told of a token that is chosen is in sight, wherever the panel was
    const scrolled = () => page.locator('.panel-body').evaluate((body) => body.scrollTop)
    await page.getByLabel('Write their numbers').scrollIntoViewIfNeeded()
    expect(await scrolled()).toBeGreaterThan(100)
    await page.locator('.token').nth(2).click()
    await expect.poll(scrolled).toBe(0)
    await page.locator('.token-name').waitFor()
    await page.getByRole('button', { name: 'Conversations' }).click()
    expect(await wide()).toEqual([])
    await page.keyboard.press('Escape')
    await expect.poll(() => page.locator('.sidebar').count()).toBe(0)
    await page.context().close()
  })

  test('the keyboard is enough: a chat, a branch, the experts of a token, and where the focus is can be seen', async () => {
    const page = await visit()
    await setFields(page, { Temperature: '0' })
    const focused = () =>
      page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')
    const tabTo = async (name: RegExp, key = 'Tab') => {
      for (let i = 0; i < 40; i++) {
        if (name.test(await focused())) return
        await page.keyboard.press(key)
      }
      throw new Error(`no ${name} in the order of focus`)
    }
    await tabTo(/^Your message/)
    await page.keyboard.type(question)
    await page.keyboard.press('Shift+Enter')
    await page.keyboard.press('Backspace')
    await page.keyboard.press('Enter')
    await page.locator('.figures').waitFor()
    await tabTo(/^Another answer/, 'Shift+Tab')
    expect(await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle)).toBe('solid')
    await page.keyboard.press('Enter')
    await page.locator('.branches').waitFor()
    await tabTo(/^Experts at work/, 'Shift+Tab')
    await page.keyboard.press('Enter')
    await tabTo(/^The, expert/)
    await page.keyboard.press('ArrowRight')
    expect(await focused()).toMatch(/^capital, expert/)
    await expect.poll(() => page.locator('.token-name code').textContent()).toBe('␣capital')
    await page.keyboard.press('End')
    expect(await focused()).toMatch(/^\., expert/)
    await page.keyboard.press('Control+Shift+O')
    await expect.poll(() => page.locator('.message').count()).toBe(0)
    await page.context().close()
  })

  test('a full storage is told', async () => {
    const page = await visit({}, (context) =>
      context.addInitScript(() => {
        IDBObjectStore.prototype.put = () => {
          throw new DOMException('full', 'QuotaExceededError')
        }
      }),
    )
    await ask(page, question)
    await page.getByText("The browser's storage is full").waitFor()
    await answered(page)
    await page.context().close()
  })
})
