import { readFileSync } from 'node:fs'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { batchStatus, collectBatch, mergeBatch, runBatch, submitBatch, workBatch } from '../../../dist/batch.js'
import { MixtralModel } from '../../../dist/index.js'
import { checkChunk } from '../../../dist/interfaces/batch/queueBatches.js'
import { findPostgres, findRedis, type RunningServer, startPostgres, startRedis } from '../../batches/servers.mjs'
import { mixtral } from '../cli/mixtral.js'
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

  test.skipIf(!isThere || name !== 'Redis')(
    'what others have put there is looked at like a file, and named',
    async () => {
      const connection = { url: server.address }
      const list = new Queue('mixtral-batches', { connection })
      const whole = { batch: 'b', model: 'm', numerics: 'n', name: '\u001b]0;title\u0007', requests: 1, chunks: 1 }
      const wrong = { none: null, empty: {}, other: whole, count: { ...whole, batch: 'count', chunks: '1' }, model: { ...whole, model: 5 } }
      for (const [jobId, data] of Object.entries(wrong)) {
        await list.add('batch', data, { jobId })
        const told = { code: 'IO', message: expect.stringMatching(/^in the queue .* is .*, expected /) }
        await expect(batchStatus(jobId, server.address), jobId).rejects.toMatchObject(told)
        await expect(workBatch(model, jobId, server.address), jobId).rejects.toMatchObject(told)
      }
      await list.add('batch', whole, { jobId: 'b' })
      const { stdout } = await mixtral(['batch', 'status', 'b', '--queue', server.address])
      expect(stdout).toMatch(/^1 request for \\u001b\]0;title\\u0007: 0 of 1 chunk/)
      await list.close()

      const marks = { batch: 'b', model: 'm', numerics: 'n', name: 'x' }
      for (const requests of [undefined, 'x', [null], [{ customId: 'a', url: '/etc/passwd', body: {} }]])
        expect(() => checkChunk('c1', { ...marks, requests })).toThrow(/chunk "c1"/)
      expect(() => checkChunk('c1', null)).toThrow('in the queue the chunk "c1" is null, expected an object')
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

test('a request of a queue nests no deeper than one of a file', () => {
  const nested = (depth: number) => JSON.parse(`{"prompt":"a","x":${'['.repeat(depth)}${']'.repeat(depth)}}`)
  const chunk = (depth: number) => ({
    ...{ batch: 'b', model: 'm', numerics: 'n', name: 'm' },
    requests: [{ index: 0, customId: 'a', url: '/v1/completions', body: nested(depth) }],
  })
  expect(checkChunk('c', chunk(200))).toEqual(chunk(200))
  const problem = 'in the queue the chunk "c", request 0: '
  expect(() => checkChunk('c', chunk(300))).toThrow(`${problem}the body nests more than 256 levels deep`)
  expect(() => checkChunk('c', chunk(200_000))).toThrow(expect.objectContaining({ code: 'IO' }))
})
