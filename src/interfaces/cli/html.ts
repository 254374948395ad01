// HTML that is written by hand: a template whose values are escaped, so that no text from anywhere becomes an element.
// Pure.

/** Text that is HTML already. Only `html` and `trusted` make it. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[]

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/**
 * What HTML has no place for, or shows as something else: control characters but tab and line feed, and those that turn
 * the direction of what follows.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const UNSHOWN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g

/** A text as HTML shows it, in elements and in quoted attributes. */
function escapedHtml(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(UNSHOWN, '\ufffd')
    .replaceAll(/[&<>"']/g, (sign) => ESCAPES[sign]!)
}

/**
 * A template of HTML. Values are texts, and are escaped, unless they are HTML; lists are joined, `undefined` and
 * `false` are nothing. Attributes have quotes around their values.
 */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(strings.map((part, i) => part + textOf(values[i])).join(''))
}

/** A script or a style of our own, whose end tag it must not have in it. */
export function trusted(text: string): Html {
  return new Html(text.replaceAll(/<\/(?=script|style)/gi, '<\\/'))
}

/** Data for a script: JSON in which nothing can end its element. */
export function jsonData(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll('<', '\\u003c'))
}

function textOf(value: HtmlValue): string {
  if (value === undefined || value === false) return ''
  if (value instanceof Html) return value.text
  if (typeof value === 'object') return value.map(textOf).join('')
  return escapedHtml(String(value))
}
