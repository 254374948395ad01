// Text of a model as Markdown, while it is written: block by block, so that only the last one is made anew. Owns what
// may become an element: Markdown's own, without images, and links to the web alone. HTML in a text is shown as the
// text that it is.

import DOMPurify from 'dompurify'
import { Marked, type Token, type TokensList } from 'marked'
import { memo } from 'preact/compat'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'

const TAGS = 'p br hr h3 h4 h5 h6 ul ol li blockquote pre code em strong del a table thead tbody tr th td'.split(' ')
const ATTRIBUTES = ['href', 'title', 'class', 'start', 'align']

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => escaped(text),
    // headings of an answer stand below that of its message
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6)
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`
    },
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || 'image')}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
  },
})

export function Markdown({ text, writing }: { readonly text: string; readonly writing: boolean }) {
  const tokens = marked.lexer(text)
  return (
    <div class={`markdown ${writing ? 'writing' : ''}`} dir="auto">
      {tokens.map((token, i) => (token.type === 'space' ? null : <Block key={i} raw={token.raw} token={token} links={tokens.links} />))}
    </div>
  )
}

interface BlockProps {
  readonly raw: string
  readonly token: Token
  readonly links: TokensList['links']
}

const Block = memo(BareBlock, (before, after) => before.raw === after.raw && Object.keys(after.links).length === 0)

function BareBlock({ token }: BlockProps) {
  const place = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    place.current!.replaceChildren(safe(marked.parser([token])))
  })
  return <div class="block" ref={place} />
}

/** Elements of Markdown's HTML: the only way from a text to elements. */
function safe(html: string): DocumentFragment {
  const fragment = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
    RETURN_DOM_FRAGMENT: true,
  })
  for (const link of fragment.querySelectorAll('a')) {
    link.rel = 'noopener noreferrer nofollow'
    link.target = '_blank'
  }
  for (const one of fragment.querySelectorAll('[class]')) if (!/^language-[\w+#.-]{1,40}$/.test(one.className)) one.removeAttribute('class')
  for (const pre of fragment.querySelectorAll('pre')) pre.replaceWith(codeBox(pre))
  for (const table of fragment.querySelectorAll('table')) {
    const box = region('table-box', 'table')
    table.replaceWith(box)
    box.append(table)
  }
  return fragment
}

/** A block of code, below its language and a button that copies it. */
function codeBox(pre: Element): HTMLElement {
  const code = pre.querySelector('code')
  const language = code?.className.replace('language-', '') ?? ''
  const figure = document.createElement('div')
  figure.className = 'code'
  const head = document.createElement('div')
  head.className = 'code-head'
  const name = document.createElement('span')
  name.textContent = language || 'text'
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = 'Copy'
  button.addEventListener('click', () => {
    copy(pre.textContent ?? '').then((done) => {
      button.textContent = done ? 'Copied' : 'Not copied'
      setTimeout(() => {
        button.textContent = 'Copy'
      }, 1500)
    })
  })
  head.append(name, button)
  const box = region('code-box', language ? `code, ${language}` : 'code')
  const copied = document.createElement('pre')
  copied.append(...pre.childNodes)
  box.append(copied)
  figure.append(head, box)
  return figure
}

/** What is too wide scrolls, by keyboard too. */
function region(className: string, label: string): HTMLElement {
  const box = document.createElement('div')
  box.className = className
  box.tabIndex = 0
  box.setAttribute('role', 'group')
  box.setAttribute('aria-label', label)
  return box
}

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text) // only where the page came by HTTPS or from this machine
    return true
  } catch {
    return copyOld(text)
  }
}

/** As browsers did it before, for pages by plain HTTP from another machine. */
function copyOld(text: string): boolean {
  const box = document.createElement('textarea')
  const before = document.activeElement
  box.value = text
  box.className = 'unseen'
  document.body.append(box)
  box.select()
  const done = document.execCommand('copy')
  box.remove()
  if (before instanceof HTMLElement) before.focus()
  return done
}

/** JSON as a block of code, laid out where it is whole. */
export function Json({ text }: { readonly text: string }) {
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const pre = document.createElement('pre')
    const code = document.createElement('code')
    code.className = 'language-json'
    code.textContent = laidOut(text)
    pre.append(code)
    box.current!.replaceChildren(codeBox(pre))
  }, [text])
  return <div class="markdown" ref={box} />
}

function laidOut(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text // it is not whole yet
  }
}
