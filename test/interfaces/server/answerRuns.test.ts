// The answers of one request in one stream of events: an error of one that comes while nobody asks for the next event
// is told to who asks then, and to nobody else.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type AnswerRun, answerEvents, type Part } from '../../../dist/interfaces/server/streams/answerRuns.js'

const part: Part = { text: 'a', ids: [1] }

test('an error between two events is told with the next, and ends the others', async () => {
  const told: unknown[] = []
  const note = (error: unknown) => told.push(error)
  process.on('unhandledRejection', note)
  try {
    let left = false
    const good: AnswerRun = async function* () {
      try {
        for (;;) {
          await sleep(1)
          yield part
        }
      } finally {
        left = true
      }
    }
    const bad: AnswerRun = async function* () {
      yield part
      await sleep(5)
      throw new Error('of the second')
    }
    const call = { signal: new AbortController().signal, onAccepted: () => {} }
    const events = answerEvents([good, bad], 2, call)
    await events.next()
    await events.next() // the second's piece has been taken, and its next one is asked for
    await sleep(30)
    const rest = async () => {
      for (;;) if ((await events.next()).done) return
    }
    await expect(rest()).rejects.toThrow('of the second')
    expect(left).toBe(true)
    await sleep(1)
    expect(told).toEqual([])
  } finally {
    process.off('unhandledRejection', note)
  }
})
