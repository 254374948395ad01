// node bench/demoExperts.mjs FOLDER [--picture FILE] [--price]
// The demo model's experts on the three kinds of text that it knows: writes stories.txt, chat.txt and plays.txt into a
// folder, and the report of `mixtral experts` beside them. With --picture, photographs the report in Chromium for the
// documents; with --price, prints the perplexity of each text with 1 to 8 experts per token.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { MixtralModel, measurePerplexity } from '../dist/index.js'
import { readCommandLine } from './commandLine.mjs'

const options = { picture: { type: 'string' }, price: { type: 'boolean' } }
const { positionals, values: flags } = readCommandLine(import.meta.url, options, [1, 1])
const folder = resolve(positionals[0])
mkdirSync(folder, { recursive: true })
const golden = (name) => readFileSync(new URL(`../test/golden/demo/${name}`, import.meta.url), 'utf8')
const lines = golden('eval.txt').split('\n')
const isChat = (line) => line.startsWith('[INST]')
const texts = {
  stories: `${lines.filter((line) => !isChat(line)).join('\n')}\n`,
  chat: `${lines.filter(isChat).join('\n')}\n`,
  plays: golden('plays.txt'),
}
const files = Object.entries(texts).map(([name, text]) => {
  const file = join(folder, `${name}.txt`)
  writeFileSync(file, text)
  return file
})

const report = join(folder, 'report.html')
const main = fileURLToPath(new URL('../dist/interfaces/cli/main.js', import.meta.url))
process.stdout.write(
  execFileSync(process.execPath, [main, 'experts', 'demo', ...files, '--html', report], { stdio: ['ignore', 'pipe', 'ignore'] }),
)
console.log(`\n${report}`)

if (flags.price) {
  const model = await MixtralModel.load('demo')
  for (const [name, text] of Object.entries(texts)) {
    const row = []
    for (let expertsPerToken = 1; expertsPerToken <= model.config.experts; expertsPerToken++) {
      const { perplexity } = await measurePerplexity(model, text.trimEnd(), { contextLength: 256, expertsPerToken })
      row.push(`${perplexity.value.toFixed(3)} ± ${perplexity.error.toFixed(3)}`)
    }
    console.log(`${name}: ${row.join(', ')}`)
  }
  await model.close()
}

if (flags.picture) {
  const { chromium } = await import('playwright-core')
  const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  const executablePath = places.find((place) => place !== undefined && existsSync(place))
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  const page = await browser.newPage({ viewport: { width: 1120, height: 900 }, colorScheme: 'light' })
  await page.goto(pathToFileURL(report).href)
  // the picture: a layer's text, and the heat maps of the three domains
  await page.evaluate(() => {
    const keep = [...document.querySelectorAll('.maps figure')].slice(0, 3)
    const text = document.querySelector('.colored')
    text.style.maxHeight = '8.6em'
    text.style.overflow = 'hidden'
    text.style.maxWidth = 'none'
    const maps = document.querySelector('.maps')
    maps.replaceChildren(...keep)
    maps.style.gridTemplateColumns = 'repeat(3, 1fr)'
    const main = document.querySelector('main')
    main.style.padding = '16px 20px'
    text.style.marginBottom = '18px'
    main.replaceChildren(text, maps)
  })
  await page.locator('main').screenshot({ path: flags.picture })
  await browser.close()
}
