// Texts as Python sees them. lm-eval is written in it, and its prompts and lengths depend on what Python calls white
// space, a capital and a character. Pure.

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

/**
 * UTF-16 units for which `str.isspace()` holds. A JavaScript `trim` knows U+FEFF, too, but neither U+001C nor U+0085.
 */
const spaces = new Set([
  ...range(0x09, 0x0d),
  ...range(0x1c, 0x20),
  ...[0x85, 0xa0, 0x1680],
  ...range(0x2000, 0x200a),
  ...[0x2028, 0x2029, 0x202f, 0x205f, 0x3000],
])

/** How many units of white space a text ends with: `len(text) - len(text.rstrip())`. */
export function trailingSpaces(text: string): number {
  let end = text.length
  while (end > 0 && spaces.has(text.charCodeAt(end - 1))) end--
  return text.length - end
}

/** `text.strip()` */
export function strip(text: string): string {
  let start = 0
  while (start < text.length && spaces.has(text.charCodeAt(start))) start++
  const rest = text.slice(start)
  return rest.slice(0, rest.length - trailingSpaces(rest))
}

/** Letters that are two in one: as the first of a word, only their first half is a capital. */
const digraphs = new Map(['Ǆǅǆ', 'Ǉǈǉ', 'Ǌǋǌ', 'Ǳǲǳ'].flatMap((row) => [...row].map((letter) => [letter, row[1]!] as const)))
/** Georgian letters have capitals that no word begins with. */
const GEORGIAN = /^[ა-ჿ]$/

/** `text.capitalize()`: the first letter as that of a title, all others small. */
export function capitalize(text: string): string {
  const [first = ''] = text
  const rest = text.toLowerCase().slice(first.toLowerCase().length)
  const title = digraphs.get(first) ?? (GEORGIAN.test(first) ? first : undefined)
  if (title !== undefined) return title + rest
  const [capital = '', ...others] = first.toUpperCase()
  const isLetter = capital !== capital.toLowerCase() // else the first letter is behind it, as in ʼN
  return capital + (isLetter ? others.join('').toLowerCase() : others.join('')) + rest
}

/** `len(text)`: the number of code points. */
export function characters(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
