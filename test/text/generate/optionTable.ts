// The table of options as docs/sampling.md shows it; the test that compares them prints the lines that differ. Not a
// test.

import { expectedOf, type OptionRow } from '../../../dist/runtime/sampler/optionRow.js'
import { generationTable } from '../../../dist/text/generate/generationTable.js'

export function tableLines(): string[] {
  const code = (text: string | undefined) => (text === undefined ? '' : `\`${text}\``)
  const lines = Object.entries(generationTable).map(([name, row]) => {
    const names = [row.flag, row.ollama, row.openai, row.llama].map(code)
    return `| ${[code(name), row.help, shownDefault(row), rangeOf(row), ...names].join(' | ')} |`
  })
  return ['| option | is | default | range | flag | Ollama | OpenAI, vLLM | llama-server |', '|---|---|---|---|---|---|---|---|', ...lines]
}

function shownDefault({ kind, default: value, unset }: OptionRow): string {
  if (kind === 'steps') return 'below'
  return unset ?? (Array.isArray(value) ? value.map((text) => `\`${JSON.stringify(text)}\``).join(' ') : String(value))
}

function rangeOf(row: OptionRow): string {
  return row.kind === 'number' || row.kind === 'whole' ? expectedOf(row).replace(/^a /, '') : ''
}
