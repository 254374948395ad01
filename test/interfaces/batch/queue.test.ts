import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { batchStatus, collectBatch, mergeBatch, runBatch, submitBatch, workBatch } from '../../../dist/batch.js'
import { MixtralModel } from '../../../dist/index.js'
import { findPostgres, findRedis, type RunningServer, startPostgres, startRedis } from '../../batches/servers.mjs'
import { chat, complete, demo, embed, testFolder, writeInput } from './batchFiles.js'

const file = testFolder()
const input = file('in.jsonl')

let model: MixtralModel
let whole: string
let errors: string
beforeAll(async () => {
  model = await MixtralModel.load(demo, { threads: 2 })
  writeInput(input, [
    chat('Hello'),
    chat('x', { temperature: -1 }),
    embed('A goat'),
    ...Array.from({ length: 70 }, (_, i) => complete(`Number ${i}`)),
  ])
  await runBatch(model, input, file('out.jsonl'))
  await mergeBatch(input, file('merged.jsonl'), [file('out.jsonl')])
  whole = readFileSync(file('merged.jsonl'), 'utf8')
  errors = readFileSync(file('merged.errors.jsonl'), 'utf8')
})
afterAll(() => model.close())

describe.each([
  { name: 'Redis', find: findRedis, begin: startRedis },
  { name: 'PostgreSQL', find: findPostgres, begin: startPostgres },
])('through $name', ({ name, find, begin }) => {
  const isThere = find() !== undefined
  if (!isThere && process.env.CI) test('is installed', () => expect.fail(`${name} is not installed`))
  if (!isThere) console.warn(`${name} is not installed: its tests are skipped`)
  let server: RunningServer
  beforeAll(async () => {
    if (isThere) server = await begin(file(name))
  }, 60_000)
  afterAll(async () => {
    await server?.stop()
  })

  test.skipIf(!isThere)(
    'two workers give the bytes of one process',
    async () => {
      const { address } = server
      const { batch, chunks, requests } = await submitBatch(demo, input, address)
      expect({ chunks, requests }).toEqual({ chunks: 3, requests: 73 })
      expect(await batchStatus(batch, address)).toMatchObject({ waiting: 3, active: 0, completed: 0, failed: 0 })
      await expect(collectBatch(input, file('early.jsonl'), address)).rejects.toMatchObject({
        code: 'IO',
        message: expect.stringContaining('73 of 73 requests have no result'),
      })
      const workers = await Promise.all([1, 2].map(() => workBatch(model, batch, address)))
      expect(workers.reduce((sum, { requests }) => sum + requests, 0)).toBe(73)
      await submitBatch(demo, input, address) // what is there stays as it is
      expect(await batchStatus(batch, address)).toMatchObject({ waiting: 0, completed: 3 })
      await collectBatch(input, file(`${name}.jsonl`), address, { remove: true })
      expect(readFileSync(file(`${name}.jsonl`), 'utf8')).toBe(whole)
      expect(readFileSync(file(`${name}.errors.jsonl`), 'utf8')).toBe(errors)
      await expect(batchStatus(batch, address)).rejects.toThrow(`the queue has no batch "${batch}"`)
    },
    60_000,
  )

  test.skipIf(!isThere)(
    'a worker with another model, or another context, refuses',
    async () => {
      const { batch } = await submitBatch(demo, input, server.address, { contextLength: 128 })
      await expect(workBatch(model, batch, server.address)).rejects.toMatchObject({
        code: 'OPTION',
        message: expect.stringMatching(/ is for .*-c128, found .*-c512$/),
      })
      const shorter = await MixtralModel.load(demo, { threads: 2, contextLength: 128 })
      const drain = new AbortController()
      drain.abort()
      expect(await workBatch(shorter, batch, server.address, { drain: drain.signal })).toMatchObject({ status: { chunks: 3 } })
      await shorter.close()
      await expect(submitBatch(demo, input, server.address)).rejects.toThrow(/is in the queue for .*-c128, expected .*-c512$/)
    },
    60_000,
  )
})

test('an address of another kind, and a server that is not there, are errors that do not show it', async () => {
  await expect(batchStatus('x', 'http://secret@localhost')).rejects.toMatchObject({ code: 'OPTION' })
  await expect(batchStatus('x', 'redis://:secret@127.0.0.1:9')).rejects.toMatchObject({
    code: 'IO',
    message: expect.not.stringContaining('secret'),
  })
}, 30_000)
