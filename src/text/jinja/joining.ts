// Joins texts within the budget.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'

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
