// Texts that are made of others within the budget: joined, or among as many characters as make a width.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { Parameters } from './parameters.js'
import { type Arguments, lengthOf } from './values.js'

export function joined(texts: readonly Text[], separator: Text, budget: WorkBudget): Text {
  let [length, runs] = [separator.length * Math.max(0, texts.length - 1), separator.runs.length * texts.length]
  for (const text of texts) {
    length += text.length
    runs += text.runs.length
  }
  budget.make(length)
  budget.spend(16 * runs)
  return Text.join(texts, separator)
}

type Side = 'left' | 'right' | 'center'

const BLANK = new Text(' ')

/** @param fill one character */
export function aligned(text: Text, width: number, fill: Text, side: Side, budget: WorkBudget): Text {
  const missing = width - lengthOf(text, budget)
  if (missing <= 0) return text
  budget.make(text.length + missing * fill.length)
  const filled = (count: number) => new Text(fill.value.repeat(count)).madeBy(fill)
  const left = side === 'left' ? 0 : side === 'right' ? missing : (missing >> 1) + (missing & width & 1)
  return Text.concat([filled(left), text, filled(missing - left)])
}

export function align(name: string, side: Side) {
  return (text: Text, args: Arguments, budget: WorkBudget): Text => {
    const given = new Parameters(name, args, ['width', 'fillchar'])
    given.required('width')
    const fill = given.text('fillchar') ?? BLANK
    if (fill.length === 0 || fill.length > (fill.value.codePointAt(0)! > 0xffff ? 2 : 1))
      throw new Error(`${name} with a fillchar of ${fill.length} characters, expected one`)
    return aligned(text, given.whole('width') ?? 0, fill, side, budget)
  }
}
