// Batches of a server that loads models on demand, where there is memory for one.

import { expect, test } from 'vitest'
import { complete } from '../batch/batchFiles.js'
import { demoPath, load, model, ownStore, store, useMachine } from '../server/models/machine.js'
import { endless, until } from '../server/served.js'
import { begun, clientOf, contentOf, ended, parsedLines, textOf } from './storing.js'

const machine = useMachine()
const client = () => clientOf(machine.running)
const lines = (model: string) =>
  textOf(Array.from({ length: 40 }, (_, i) => complete(`${endless}${i}`, { model, max_tokens: 40, ignore_eos: true })))

test('a batch gives its model back where its memory is wanted for a client', async () => {
  for (const name of ['one', 'two']) store(ownStore(), name, model({ system: name }))
  await machine.start()
  await machine.ask('/api/generate', { model: 'one', prompt: '' })
  const { size } = (await machine.get('/api/ps')).models[0]
  await machine.stop()
  machine.events.length = 0
  await machine.start({ load: { ...load, ram: size + 1000 } }, { files: machine.newFolder() })
  const { id } = await begun(client(), lines('one'), '/v1/completions')
  await until(async () => (await client().batches.retrieve(id)).request_counts!.completed > 2)
  const [status, answer] = await machine.ask('/v1/completions', { model: 'two', prompt: 'A', max_tokens: 2 })
  expect([status, answer.model]).toEqual([200, 'two:latest'])
  const { status: state, request_counts: counts, model: name } = await client().batches.retrieve(id)
  expect([state, name, counts!.completed < 40]).toEqual(['in_progress', 'one:latest', true])
  expect(machine.events.map(({ event, model }) => `${event} ${model.split(':')[0]}`)).toEqual(['loaded one', 'unloaded one', 'loaded two'])
  await client().batches.cancel(id)
  const done = await ended(client(), id)
  expect(parsedLines(await contentOf(client(), done.output_file_id))).toHaveLength(done.request_counts!.completed)
})

test('a model that has no memory is told in the errors of its batch, and the next batch goes on', async () => {
  store(ownStore(), 'ours', model())
  await machine.start({ models: ['ours', demoPath.pathname], load: { ...load, ram: 100_000 } }, { files: machine.newFolder() })
  const first = await begun(client(), lines('ours'), '/v1/completions')
  const wrong = await begun(client(), lines('nobody'), '/v1/completions')
  await until(async () => (await client().batches.retrieve(first.id)).errors !== null)
  expect(await client().batches.retrieve(first.id)).toMatchObject({
    status: 'in_progress',
    errors: { data: [{ code: 'server_error', message: expect.stringContaining('100.0 kB of memory') }] },
  })
  expect((await ended(client(), wrong.id)).status).toBe('failed')
  await client().batches.cancel(first.id)
  expect(await ended(client(), first.id)).toMatchObject({ status: 'cancelled', errors: null, output_file_id: null })
})

test('a model that is deleted while its batch runs fails it', async () => {
  store(ownStore(), 'ours', model())
  await machine.start({}, { files: machine.newFolder() })
  const { id } = await begun(client(), lines('ours'), '/v1/completions')
  await until(async () => (await client().batches.retrieve(id)).request_counts!.completed > 0)
  const [status] = await machine.ask('/api/delete', { model: 'ours' }, 'DELETE')
  expect(status).toBe(200)
  const failed = await ended(client(), id)
  expect(failed).toMatchObject({ status: 'failed', errors: { data: [{ code: 'model_not_found' }] } })
})
