// A grammar whose masks, where its rules begin, need more work than a token may: until some of it has been done. Not a
// test.

const RULES = 200

const rule = (i: number) => {
  const at = (step: number, from: number) => `r${(i * step + from) % RULES}`
  return `r${i} ::= [a-z ] (${at(7, 1)} | ${at(11, 3)} | ${at(13, 5)}) | [a-z] ${at(5, 2)} ${at(3, 1)} | "x"`
}

/** beginning: what its texts begin with, before they are too much work. */
export function hardGrammar(beginning: string): string {
  const numbers = Array.from({ length: RULES }, (_, i) => i)
  return [`root ::= "${beginning}" (${numbers.map((i) => `r${i}`).join(' | ')})`, ...numbers.map(rule)].join('\n')
}
