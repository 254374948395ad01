// The text after the options in a command's help. Its paragraphs are wrapped to the width of the terminal, 80 columns
// where there is none, as the options are; examples keep their lines. Does not know what it says.

import { type AddHelpTextContext, Help } from 'commander'

const USUAL_WIDTH = 80

/** For `addHelpText`: the text wrapped. An empty line ends a paragraph; the one that begins with `Examples:` stays. */
export function wrapped(text: string): (context: AddHelpTextContext) => string {
  return ({ command, error }) => {
    const { getErrHelpWidth, getOutHelpWidth } = command.configureOutput()
    const width = (error ? getErrHelpWidth : getOutHelpWidth)?.() ?? USUAL_WIDTH
    const wrap = (paragraph: string) => new Help().boxWrap(paragraph.replaceAll('\n', ' '), width)
    const paragraphs = text.trim().split('\n\n')
    return `\n${paragraphs.map((one) => (one.startsWith('Examples:') ? one : wrap(one))).join('\n\n')}`
  }
}
