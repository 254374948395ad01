// Tools for templates that know none: they are described in a system message, calls and results become texts, and the
// answer is JSON, as GENERIC says. Owns the words that explain it to the model.

import { GENERIC, WRAP_CLOSE, WRAP_OPEN } from '../tools/callFormat.js'
import { asJson, spacedJson } from '../tools/plainJson.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn } from './chatMessages.js'

/**
 * The turns with roles that every template has. A result becomes part of the user's turn, and several turns of the user
 * in a row become one.
 */
export function foldTools(turns: readonly Turn[], tools: readonly CheckedTool[] | undefined): Turn[] {
  const explained = tools ? [{ role: 'system', content: explanation(tools), calls: [] } as const] : []
  const system = turns.filter((turn) => turn.role === 'system')
  const others = turns.filter((turn) => turn.role !== 'system')
  const folded: Turn[] = [...(explained.length > 0 ? joined([...system, ...explained]) : system)]
  // Each run is joined once: a request may have thousands of results, and megabytes in them.
  let run: Turn[] = []
  const endRun = () => {
    if (run.length > 0) folded.push(...(run.length > 1 ? joined(run) : run))
    run = []
  }
  for (const turn of others) {
    const plain = plainTurn(turn, tools !== undefined)
    if (plain.role !== 'user') endRun()
    if (plain.role === 'user') run.push(plain)
    else folded.push(plain)
  }
  endRun()
  return folded
}

/** Turns of one role as one turn. */
function joined(turns: readonly Turn[]): Turn[] {
  return [{ role: turns[0]!.role, content: turns.map(({ content }) => content).join('\n\n'), calls: [] }]
}

/** @param isWrapped whether the assistant's texts are wrapped, as those that it is to write */
function plainTurn({ role, content, calls, answers }: Turn, isWrapped: boolean): Turn {
  if (answers)
    return { role: 'user', content: `{"tool_result": {"name": ${JSON.stringify(answers.name)}, "content": ${asJson(content)}}}`, calls: [] }
  if (role !== 'assistant') return { role, content, calls: [] }
  if (calls.length > 0) {
    const list = calls.map(({ name, arguments: given }) => ({ name, arguments: given }))
    return { role, content: spacedJson({ tool_calls: list }), calls: [] }
  }
  return { role, content: isWrapped ? WRAP_OPEN + JSON.stringify(content) + WRAP_CLOSE : content, calls: [] }
}

function explanation(tools: readonly CheckedTool[]): string {
  const list = tools.map(({ name, description, parameters }) => ({ name, ...(description !== undefined && { description }), parameters }))
  const call = `${GENERIC.open.join('')}NAME${GENERIC.middle.join('')}{...}${GENERIC.close.join('')}`
  return `You can call these functions: ${spacedJson(list)}\n\nAnswer in JSON. To call functions: ${call}. To answer with a text: ${WRAP_OPEN}"..."${WRAP_CLOSE}.`
}
