// Builds what browsers get. Of page/, the page of `mixtral serve`: one HTML file with its script and its style, and a
// policy that names both by their hashes. Of page/report/, script and style of the reports of `mixtral experts`.
// Skipped while both files are newer than all they are made of.
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

const PAGE = 'dist/interfaces/server/page.html'
const REPORT = 'dist/interfaces/cli/report.json'
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cg fill='%230b7a6d'%3E%3Crect x='1' y='1' width='6' height='6' rx='1.5'/%3E%3Crect x='9' y='9' width='6' height='6' rx='1.5'/%3E%3C/g%3E%3Cg fill='%230b7a6d' opacity='.3'%3E%3Crect x='9' y='1' width='6' height='6' rx='1.5'/%3E%3Crect x='1' y='9' width='6' height='6' rx='1.5'/%3E%3C/g%3E%3C/svg%3E"

export async function buildPage() {
  const sources = fs.readdirSync('page', { recursive: true }).map((name) => path.join('page', name))
  const newest = Math.max(...[...sources, 'scripts/buildPage.mjs', 'package-lock.json'].map((file) => fs.statSync(file).mtimeMs))
  if ([PAGE, REPORT].every((file) => fs.existsSync(file) && fs.statSync(file).mtimeMs > newest)) return
  for (const file of [PAGE, REPORT]) fs.mkdirSync(path.dirname(file), { recursive: true })
  const { script, style } = await partsOf('page/main.tsx')
  fs.writeFileSync(PAGE, page(script, style))
  fs.writeFileSync(REPORT, JSON.stringify(await partsOf('page/report/report.ts')))
}

/** One script and one style of a source and all that it imports. */
async function partsOf(input) {
  const { build } = await import('vite') // not before it is needed: it takes longer to load than the check
  const { output } = await build({
    configFile: false,
    root: 'page',
    logLevel: 'warn',
    publicDir: false,
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      write: false,
      target: 'es2022',
      cssCodeSplit: false,
      modulePreload: false,
      rolldownOptions: { input, output: { format: 'iife', codeSplitting: false } },
    },
  })
  const script = output.find(({ type }) => type === 'chunk').code.replaceAll('</script', '<\\/script')
  const style = String(output.find(({ fileName }) => fileName.endsWith('.css')).source)
  return { script: script.trim(), style: style.trim() }
}

/** `img-src data:` is for the icon. The sanitizer of Markdown is the only place that makes elements of text. */
function page(script, style) {
  const policy = [
    "default-src 'none'",
    `script-src '${hash(script)}'`,
    `style-src '${hash(style)}'`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types dompurify',
  ].join('; ')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>mixtral</title>
<link rel="icon" href="${ICON}">
<style>${style}</style>
</head>
<body>
<div id="app"></div>
<noscript>This page needs JavaScript. The server answers programs, too: see docs/serving.md of mixtral-wasm.</noscript>
<script>${script}</script>
</body>
</html>
`
}

function hash(text) {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
