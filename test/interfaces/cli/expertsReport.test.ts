// The report of `mixtral experts --html` in a real Chromium: it shows the figures of the library, works by keyboard,
// asks nobody for anything, and takes no text of a file for anything but text.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import axe from 'axe-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type ExpertStatistics, expertStatistics, MixtralModel } from '../../../dist/index.js'
import { hasChromium, withBrowser } from '../server/browser.js'
import { mixtral } from './mixtral.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-report-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string) => join(folder, name)
const hostile = '</script><script>window.pwned = 1</script><img src=x onerror="window.pwned = 2">\u202e\u0007 & \'"'
const story = 'Once upon a time, there was a young goat who wanted to see the world. She met a \u{1f98a}.\n'.repeat(60)
const play = `KING RICHARD III:\nWhat says lord Stanley? will he bring his power?\n${hostile}\n`.repeat(20)
const report = file('report.html')
/** Of few tokens: axe looks at each. */
const short = file('short.html')
let statistics: ExpertStatistics

beforeAll(async () => {
  writeFileSync(file('story.txt'), story)
  writeFileSync(file('play.txt'), play)
  const args = ['experts', 'demo', file('story.txt'), '--domain', `<b>${hostile.replaceAll('=', '')}=${file('play.txt')}`, '--html', report]
  expect(await mixtral(args)).toMatchObject({ code: 0, stderr: '' })
  expect(await mixtral([...args.slice(0, -1), short, '--tokens', '60'])).toMatchObject({ code: 0, stderr: '' })
  const model = await MixtralModel.load('demo', { contextLength: 512 })
  const texts = [
    { domain: 'story', text: story },
    { domain: 'play', text: play },
  ]
  statistics = await expertStatistics(model, texts, { beginning: 1000 })
  await model.close()
})

test('the report is one file of less than 500 kB for 2,000 tokens, without an address in it', () => {
  const text = readFileSync(report, 'utf8')
  expect(statSync(report).size).toBeLessThan(500_000)
  expect(text.match(/<span class="token /g)!.length).toBeGreaterThan(1800) // the others are parts of characters
  expect(text).not.toMatch(/https?:|url\(|@import|src="|<link/)
  expect(text).not.toContain(hostile)
})

describe.skipIf(!hasChromium)('in a browser', () => {
  const browser = withBrowser()
  const url = pathToFileURL(report).href
  const shortUrl = pathToFileURL(short).href
  const { layers, used } = { layers: 6, used: 2 } // of the demo model

  afterEach(() => {
    expect(browser.complaints.splice(0)).toEqual([])
    const others = browser.asked.splice(0).filter((asked) => ![url, shortUrl].includes(asked))
    expect(others).toEqual([])
  })

  test('heat maps have the shares, and the text the first experts of the layer that is chosen', async () => {
    const page = await browser.visit(url)
    const shares = statistics.domains[0]!.layers.flatMap(({ shares }) => shares.map((share) => (share * 100).toFixed(0)))
    expect(await page.locator('.heat').first().locator('.value').allTextContents()).toEqual(shares)
    for (const layer of [2, 5, 0]) {
      await page.getByRole('slider').fill(String(layer))
      for (const [i, { beginning }] of statistics.domains.entries()) {
        const tokens = page.locator('.colored').nth(i).locator('.token')
        const shown = await tokens.evaluateAll((all) => all.map((one) => [Number(one.dataset.token), Number(one.dataset.expert)]))
        expect(shown).toEqual(shown.map(([token]) => [token, beginning!.experts[(token! * layers + layer) * used]]))
        expect(await page.locator('.heat tr.current').first().getAttribute('data-layer')).toBe(String(layer))
      }
      const favorite = statistics.all.layers[layer]!.favorites[0]![0]!
      const first = page.locator(`.favorites tbody[data-layer="${layer}"] li`).first()
      expect(await first.isVisible()).toBe(true)
      expect(await first.textContent()).toContain(`${(favorite.share * 100).toFixed(0)} %`)
    }
    expect(await page.locator('.favorites tbody:visible').count()).toBe(1)
    const text = (await page.locator('.colored').first().textContent())!
    expect(story.startsWith(text.slice(0, -1))).toBe(true)
    expect(text.length).toBeGreaterThan(1500)
    await page.context().close()
  })

  test('by keyboard: the layer, and a token with its experts and weights in all layers', async () => {
    const page = await browser.visit(url)
    await page.getByRole('slider').focus()
    await page.keyboard.press('End')
    await expect.poll(() => page.locator('#layer-name').textContent()).toBe(String(layers - 1))
    await page.keyboard.press('Tab')
    await page.keyboard.press('Space')
    expect(await page.locator('body.numbered').count()).toBe(1)
    await page.keyboard.press('Tab')
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowRight')
    const chosen = page.locator('.token[aria-selected="true"]')
    const token = Number(await chosen.getAttribute('data-token'))
    const { experts: ids, weights } = statistics.domains[0]!.beginning!
    const expected = Array.from({ length: layers * used }, (_, i) => {
      const at = token * layers * used + i
      const first = Math.round(weights[at - (i % used)]! * 255) / 255
      return `${ids[at]} · ${Math.round((i % used === 0 ? first : 1 - first) * 100)} %`
    })
    await expect.poll(() => page.locator('#token .chip').allTextContents()).toEqual(expected)
    await page.keyboard.press('Home')
    expect(await chosen.getAttribute('data-token')).toBe('0')
    await page.context().close()
  })

  test('up and down go to the next line, and what is told of a token is seen with it', async () => {
    const page = await browser.visit(url)
    const places = () =>
      page.evaluate(() => {
        const [token, told] = ['.token[aria-selected="true"]', '#token'].map((one) => document.querySelector(one)!.getBoundingClientRect())
        return { x: token!.left, y: token!.top, line: token!.height, seen: token!.bottom <= told!.top && told!.bottom <= innerHeight }
      })
    for (const size of [
      { width: 1280, height: 800 },
      { width: 360, height: 640 },
    ]) {
      await page.setViewportSize(size)
      for (const box of [0, 1]) {
        await page.locator('.colored').nth(box).locator('.token').nth(40).click()
        const first = await places()
        expect(first.seen).toBe(true)
        for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'ArrowUp']) {
          const before = await places()
          await page.keyboard.press(key)
          const { x, y, seen } = await places()
          expect(seen).toBe(true)
          if (box === 0) expect(Math.abs(x - before.x)).toBeLessThan(120)
          expect(key === 'ArrowDown' || y < before.y || before.y < 200).toBe(true)
        }
        expect(Math.abs((await places()).x - first.x)).toBeLessThan(150)
      }
    }
    await page.context().close()
  })

  test('what stands in files and in their names stays text, without a script too', async () => {
    for (const javaScriptEnabled of [true, false]) {
      const page = await browser.visit(url, { javaScriptEnabled })
      expect(await page.locator('.colored').nth(1).textContent()).toContain('<img src=x onerror="window.pwned = 2">')
      expect(await page.locator('img, .colored script, h3 b').count()).toBe(0)
      if (javaScriptEnabled) expect(await page.evaluate(() => (window as { pwned?: number }).pwned)).toBeUndefined()
      expect(await page.locator('.heat').count()).toBe(3)
      await page.context().close()
    }
  })

  test('axe has nothing to find, in the light and in the dark, and nothing is wider than a small screen', { timeout: 90_000 }, async () => {
    const page = await browser.visit(shortUrl, { colorScheme: 'light' })
    for (const details of await page.locator('summary').all()) await details.click()
    await page.locator('.token').nth(3).click()
    await page.evaluate(axe.source)
    const found: string[] = []
    for (const [colorScheme, rules] of [
      ['light', []],
      ['dark', ['color-contrast']],
    ] as const) {
      await page.emulateMedia({ colorScheme })
      const { violations } = await page.evaluate((rules) => {
        const { axe: checker } = window as unknown as { axe: typeof axe }
        return checker.run(rules.length > 0 ? { runOnly: { type: 'rule', values: [...rules] } } : {})
      }, rules)
      found.push(...violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${colorScheme}: ${id}: ${html.slice(0, 200)}`)))
    }
    expect(found).toEqual([])
    for (const width of [1280, 320]) {
      await page.setViewportSize({ width, height: 800 })
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width)
    }
    await page.context().close()
  })
})
