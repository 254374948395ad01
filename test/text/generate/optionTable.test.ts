// The table of options: what derives from it is complete, in other programs' names, the checks and docs/sampling.md.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { allows, expectedOf, namesOf } from '../../../dist/runtime/sampler/optionRow.js'
import { checkGenerationOptions } from '../../../dist/text/generate/checkGenerationOptions.js'
import { generationTable } from '../../../dist/text/generate/generationTable.js'
import { tableLines } from './optionTable.js'

const rows = Object.entries(generationTable)
const page = readFileSync(new URL('../../../docs/sampling.md', import.meta.url), 'utf8')

test('docs/sampling.md has the table, row for row', () => {
  const shown = page.slice(page.indexOf('| option |')).split('\n\n')[0]!
  expect(shown.split('\n')).toEqual(tableLines())
})

test('the names in other programs are each of one option', () => {
  for (const program of ['ollama', 'openai', 'llama'] as const) {
    const named = rows.filter(([, row]) => row[program] !== undefined)
    expect(namesOf(generationTable, program).size).toBe(named.length)
    expect(named.length).toBeGreaterThan(10)
  }
  expect(namesOf(generationTable, 'llama').get('repeat_last_n')).toBe('penaltyLastN')
})

describe.each(rows)('%s', (name, row) => {
  test('has a default that its range allows', () => {
    if (row.default === undefined) expect(row.unset).not.toBeUndefined()
    else expect(allows(row, row.default)).toBe(true)
  })

  test('out of its range or of another kind is refused in words', () => {
    const wrong: unknown[] = [null, Number.NaN, {}].filter((value) => !allows(row, value))
    if (row.least !== undefined) wrong.push(row.least - 1)
    if (row.most !== undefined) wrong.push(row.most + 1)
    if (row.kind === 'whole') wrong.push(0.5)
    expect(wrong.length).toBeGreaterThan(0)
    for (const value of wrong) {
      const call = () => checkGenerationOptions({ logprobs: 1, [name]: value })
      expect(call).toThrow(expect.objectContaining({ code: 'OPTION', message: expect.stringContaining(`expected ${expectedOf(row)}`) }))
    }
  })
})
