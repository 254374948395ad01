// Texts in quotes, as Go writes them.

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
}

/** The text in quotes of either kind. */
export const literalText = (token: string): string => (token.startsWith('`') ? token.slice(1, -1) : unquoted(token))

/** The text of a literal, with Go's escapes. */
export function unquoted(token: string): string {
  return token
    .slice(1, -1)
    .replace(/\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|([\s\S]))/g, (whole, x, u, long, octal, other) => {
      const point = octal ? Number.parseInt(octal, 8) : Number.parseInt(x ?? u ?? long ?? '', 16)
      const text = other === undefined ? (point <= 0x10ffff ? String.fromCodePoint(point) : undefined) : ESCAPES[other]
      if (text === undefined) throw new Error(`the text ${token} has an unknown escape ${whole}`)
      return text
    })
}
