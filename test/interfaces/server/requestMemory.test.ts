import { expect, test } from 'vitest'
import { Exchange } from '../../../dist/interfaces/server/requestLog.js'

test('a request that is over is forgotten by its signal, which runtimes keep', () => {
  const listeners: unknown[] = []
  const signal = Object.assign(new EventTarget(), { aborted: false })
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners.push(args[1])
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners.splice(listeners.indexOf(args[1]), 1)
    remove(...args)
  }
  const exchange = new Exchange({ headers: new Headers(), method: 'GET', signal } as unknown as Request, () => {})
  expect(listeners).toHaveLength(1)
  exchange.end({ status: 200 })
  expect(listeners).toEqual([])
})
