// How many columns a text takes on a terminal. Owns the ranges of wide and of invisible characters; they are those of
// Unicode's East Asian Width and of its categories. Pure.

const invisible = /[\p{Mn}\p{Me}\p{Cf}]/u
const wide =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]/u

/** Columns of a text without line breaks, tabs and escape sequences. */
export function textWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let columns = 0
  for (const character of text) columns += invisible.test(character) ? 0 : wide.test(character) ? 2 : 1
  return columns
}
