// The text after the options in a command's help. Its paragraphs are wrapped to the width of the terminal, 80 columns
// where there is none, as the options are. Examples that are too long go on behind a backslash, as a shell takes them.
// Does not know what it says.

import { type AddHelpTextContext, Help } from 'commander'

const USUAL_WIDTH = 80

/** For `addHelpText`: the text wrapped. An empty line ends a paragraph; the one that begins with `Examples:` stays. */
export function wrapped(text: string): (context: AddHelpTextContext) => string {
  return ({ command, error }) => {
    const { getErrHelpWidth, getOutHelpWidth } = command.configureOutput()
    const width = (error ? getErrHelpWidth : getOutHelpWidth)?.() ?? USUAL_WIDTH
    const wrap = (paragraph: string) => new Help().boxWrap(paragraph.replaceAll('\n', ' '), width)
    const paragraphs = text.trim().split('\n\n')
    return `\n${paragraphs
      .map((one) =>
        one.startsWith('Examples:')
          ? one
              .split('\n')
              .map((line) => example(line, width))
              .join('\n')
          : wrap(one),
      )
      .join('\n\n')}`
  }
}

/** An example that fits: its remark, if there is one, goes below it, and what does not fit behind a backslash. */
function example(line: string, width: number): string {
  if (line.length <= width) return line
  const [, command, remark] = /^(.*?\S)(?: {3,}(.*))?$/.exec(line)!
  const lines: string[] = []
  let current = ''
  for (const [word] of command!.matchAll(/\s*(?:"[^"]*"|'[^']*'|\S)+/g)) {
    if (current.trim() !== '' && (current + word).length > width - 2) {
      lines.push(`${current} \\`)
      current = `    ${word.trim()}`
    } else current += word
  }
  return [...lines, current, ...(remark ? [`      ${remark}`] : [])].join('\n')
}
