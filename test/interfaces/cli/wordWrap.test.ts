// Where lines are broken, and what a progress line says in a terminal and in a log.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { columns } from '../../../dist/interfaces/cli/layout.js'
import { ProgressLine } from '../../../dist/interfaces/cli/progressLine.js'
import { StreamWrap, wrapLines } from '../../../dist/interfaces/cli/wordWrap.js'
import { shownOn } from './screen.js'

test('lines are broken at spaces, and go on under their beginning', () => {
  expect(wrapLines('  one two three four five six seven\nshort', 20)).toBe('  one two three four\n    five six seven\nshort')
  expect(wrapLines(`path ${'x'.repeat(40)} end of it`, 20)).toBe(`path\n  ${'x'.repeat(40)}\n  end of it`)
  expect(wrapLines('one two three four five six', 10)).toBe('one two three four five six')
  expect(wrapLines('日本 日本 日本 日本 日本 日本', 20)).toBe('日本 日本 日本 日本\n  日本 日本')
})

const story = 'Once upon a time there was a child who lived near the sea, and the child had a boat.\n\nIt was 日本語日本語 small.'

test.each([20, 21, 22, 33, 60])('a streamed text has whole words in %s columns, however it comes', (width) => {
  for (const size of [1, 3, 7, 200]) {
    const wrap = new StreamWrap(() => width)
    const pieces = story.match(new RegExp(`.{1,${size}}`, 'gsu'))!
    const rows = shownOn(pieces.map((piece) => wrap.next(piece)).join(''), width)
    expect(rows.join(' ').split(/\s+/)).toEqual(story.split(/\s+/))
  }
})

test('a terminal that does not tell its width gets the text as it is', () => {
  expect(new StreamWrap(() => 0).next(story)).toBe(story)
})

test('columns with wide characters are aligned', () => {
  expect(
    columns([
      ['日本', 'a'],
      ['abc', 'b'],
    ]),
  ).toBe('日本  a\nabc   b\n')
})

describe('a progress line', () => {
  const { stderr } = process
  const before = { isTTY: stderr.isTTY, columns: stderr.columns }
  let written = ''
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] })
    vi.stubEnv('TERM', 'xterm')
    vi.stubEnv('LC_ALL', 'C.UTF-8')
    vi.stubEnv('NO_COLOR', '1')
    written = ''
    vi.spyOn(stderr, 'write').mockImplementation((text) => {
      written += text
      return true
    })
  })
  afterEach(() => {
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
    vi.useRealTimers()
    Object.assign(stderr, before)
  })

  /** A download of 40 GB in 4000 s, with a look at the screen after each second. */
  function watched(width: number | undefined, seconds = 4000, quiet = false): ProgressLine {
    Object.assign(stderr, { isTTY: width !== undefined, columns: width })
    const line = new ProgressLine('downloading', { unit: 'bytes', quiet })
    for (let second = 0; second <= seconds; second++) {
      line.update(second * 1e7, 4e10)
      vi.advanceTimersByTime(1000)
    }
    return line
  }

  test.each([20, 30, 40, 60, 80, 200])('takes one row of %s columns, and goes', (width) => {
    const line = watched(width, 1500)
    const rows = shownOn(written, width)
    expect(rows).toHaveLength(1)
    expect(rows[0]).toMatch(width < 40 ? /37 %/ : / left$/)
    expect(rows[0]).toMatch(width < 60 ? /%/ : /^downloading ━+·+ 15\.00 GB of 40\.00 GB/)
    expect(written).not.toContain('\x1b[3') // no colors
    written += '^C' // as a terminal shows it
    line.clear()
    expect(shownOn(written, width).join('')).toBe('')
  })

  test('a terminal that becomes narrower, and breaks the line, keeps nothing of it', () => {
    const line = watched(200, 10)
    const length = shownOn(written, 200)[0]!.length
    stderr.columns = 50
    written = ''
    stderr.emit('resize')
    expect(written).toContain(`${'\x1b[A'.repeat(Math.ceil(length / 50) - 1)}\x1b[J`)
    expect(shownOn(`${'x'.repeat(length)}${written}`, 50)).toHaveLength(1)
    line.clear()
    written = ''
    stderr.emit('resize')
    expect(written).toBe('')
  })

  test.each([
    ['a log', undefined, 'xterm'],
    ['a dumb terminal', 80, 'dumb'],
  ])('%s gets plain lines, a hundred for the longest work', (_, width, term) => {
    vi.stubEnv('TERM', term)
    watched(width)
    const lines = written.trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(60)
    expect(lines.length).toBeLessThan(101)
    expect(lines[0]).toBe('downloading: 1 %, 400.0 MB of 40.00 GB, 10.0 MB/s, 66 min left')
    expect(written).not.toContain('\x1b')
    expect(written).not.toContain('\r')
  })

  test('quick work, and --json, get no line in a log', () => {
    watched(undefined, 8)
    watched(undefined, 4000, true)
    expect(written).toBe('')
  })

  test('without colors and UTF-8, done and not done differ', () => {
    vi.stubEnv('LC_ALL', 'C')
    watched(80, 2000)
    expect(shownOn(written, 80)[0]).toMatch(/^downloading #+\.+ 20\.00 GB/)
  })
})
