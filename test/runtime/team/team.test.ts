// The team on its own: work is shared out, and whatever happens to a thread, no call hangs and the next one works.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { Team } from '../../../dist/runtime/team/team.js'
import { commands } from './workers/commands.js'

const layout = { missed: 0, beats: 1, never: 2, threadIds: 8, counts: 32, stages: 40, units: 13 }

const teams: Team[] = []
afterEach(() => Promise.all(teams.splice(0).map((team) => team.close())))

function open(threads: number, file = 'worker.js') {
  const words = new Int32Array(new SharedArrayBuffer((layout.counts + layout.stages * layout.units) * 4))
  const worker = new URL(`workers/${file}`, import.meta.url).href
  const team = new Team({ threads, worker, shared: () => ({ words, layout }) })
  teams.push(team)
  return { team, words, threadIds: () => [...words.subarray(layout.threadIds, layout.threadIds + threads)] }
}

/** Runs the stages once more, and sees that each unit was run once more. */
async function works({ team, words }: ReturnType<typeof open>): Promise<void> {
  const counts = words.subarray(layout.counts)
  const expected = counts.fill(0).map(() => 1)
  await team.run(commands.stages)
  expect(counts).toEqual(expected)
  expect(words[layout.missed]).toBe(0)
}

describe.each([1, 2, 3, 5])('with %i threads', (threads) => {
  test('every unit of a stage is run once, and before the next stage begins', async () => {
    const team = open(threads)
    for (let i = 0; i < 3; i++) await works(team)
  })

  test('an abort in mid-command leaves the threads at work for the next one', async () => {
    const crew = open(threads)
    await works(crew)
    const before = crew.threadIds()
    const abort = new AbortController()
    const running = crew.team.run(commands.forever, abort.signal)
    setTimeout(() => abort.abort(), 20)
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
    await works(crew)
    expect(crew.threadIds()).toEqual(before)
  })

  test.each([
    ['throws', commands.throwError, 'THREAD', 'a bug in a worker'],
    ['exits', commands.exit, 'THREAD', 'exited with code: 3'],
    ['throws an error of ours', commands.throwMixtralError, 'IO', 'a broken disk'],
  ])('a thread that %s fails the command, and the next has fresh threads', async (_, code, error, message) => {
    const crew = open(threads)
    await works(crew)
    const before = crew.threadIds()
    await expect(crew.team.run(code)).rejects.toMatchObject({ code: error, message: expect.stringContaining(message) })
    await works(crew)
    expect(crew.threadIds()).not.toEqual(before)
  })

  test('closing ends a command with CLOSED, even one that hangs', async () => {
    const { team } = open(threads)
    const running = expect(team.run(commands.hang)).rejects.toMatchObject({ code: 'CLOSED' })
    await sleep(50)
    await team.close()
    await running
  })
})

test('a signal that was aborted before keeps a command from running', async () => {
  const crew = open(2)
  await expect(crew.team.run(commands.stages, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' })
  expect(crew.threadIds()).toEqual([0, 0])
  await works(crew)
})

test('an abort after the end of a command does not touch the next', async () => {
  const crew = open(2)
  const abort = new AbortController()
  await crew.team.run(commands.stages, abort.signal)
  abort.abort()
  await works(crew)
})

test('threads that left for want of work come back', async () => {
  const crew = open(2)
  await works(crew)
  await sleep(150)
  await works(crew)
})

test('after a lost thread, no other is left writing when the next command runs', async () => {
  const { team, words } = open(3)
  for (let i = 0; i < 3; i++) {
    await expect(team.run(commands.throwBesideWork)).rejects.toMatchObject({ code: 'THREAD' })
    await team.run(commands.listen)
    expect(words[layout.missed]).toBe(0)
  }
})

test('a worker that cannot start fails the command', async () => {
  const { team } = open(2, 'throwsAtStart.js')
  await expect(team.run(commands.stages)).rejects.toMatchObject({ code: 'THREAD' })
  await expect(team.run(commands.stages)).rejects.toMatchObject({ code: 'THREAD' })
})

test('a worker whose file is missing fails the command', async () => {
  const { team } = open(2, 'nowhere.js')
  await expect(team.run(commands.stages)).rejects.toMatchObject({ code: 'THREAD', message: expect.stringContaining('nowhere.js') })
})

describe('closing', () => {
  test('in the moment of a call ends the call', async () => {
    const { team } = open(2)
    const running = expect(team.run(commands.stages)).rejects.toMatchObject({ code: 'CLOSED' })
    await team.close()
    await running
  })

  test('while the threads are leaving ends the call that waits for them', async () => {
    const crew = open(2)
    await works(crew)
    await sleep(60)
    const running = expect(crew.team.run(commands.stages)).rejects.toMatchObject({ code: 'CLOSED' })
    await crew.team.close()
    await running
  })

  test('twice is closing once, and later calls are refused', async () => {
    const crew = open(2)
    await works(crew)
    await Promise.all([crew.team.close(), crew.team.close()])
    await crew.team.close()
    await expect(crew.team.run(commands.stages)).rejects.toMatchObject({ code: 'CLOSED' })
  })

  // Node 20 ends the process where a thread is terminated while it starts.
  test('while a thread starts waits until it has, however long that takes', async () => {
    const { team, words } = open(1, 'startsLate.js')
    const running = expect(team.run(commands.stages)).rejects.toMatchObject({ code: 'CLOSED' })
    while (Atomics.load(words, 0) === 0) await sleep(5)
    await team.close()
    await running
    expect(Atomics.load(words, 0)).toBe(2)
  })

  test('before the first call is fine', async () => {
    const { team } = open(2)
    await team.close()
    await expect(team.run(commands.stages)).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
