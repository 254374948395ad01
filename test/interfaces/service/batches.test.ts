import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { mergeBatch, runBatch } from '../../../dist/batch.js'
import { ModelCatalog, type RunningServer } from '../../../dist/server.js'
import { chat, complete, embed } from '../batch/batchFiles.js'
import { endless, until } from '../server/served.js'
import { begun, clientOf, contentOf, ended, filesIn, parsedLines, sent, textOf, withStores } from './storing.js'

vi.setConfig({ testTimeout: 90_000 }) // batches are as long as they must be to be interrupted, on machines that do other things too

const storing = withStores({ kvTokens: 2048, drafts: false }) // of a draft, a step has several rows
let server: RunningServer
let folder: string
beforeAll(async () => {
  folder = storing.folder('batches')
  server = await storing.start(folder)
})
const client = () => clientOf(server)

/** The model, so that nothing runs, and what lets it go on. */
async function held(): Promise<() => Promise<unknown>> {
  const tensors = storing.model.traceEach([1, 2, 3], { hold: true })
  await tensors.next()
  return () => tensors.return(undefined)
}

const mixed = textOf([
  chat('What is the capital of France?', { temperature: 0 }),
  chat('x', { temperature: -1 }),
  chat('What is 7 + 5?', { n: 2, cache_salt: 'a' }),
  ...Array.from({ length: 12 }, (_, i) => chat(`Tell me about the number ${i}`, { max_tokens: 12 })),
])

const known = new Map<string, Promise<{ results: string; errors: string }>>()

/** What `mixtral batch` and its merge make of a text. */
function offline(text: string): Promise<{ results: string; errors: string }> {
  const made = known.get(text) ?? answered(text, `offline${known.size}`)
  known.set(text, made)
  return made
}

async function answered(text: string, name: string): Promise<{ results: string; errors: string }> {
  const [input, output, merged] = ['in', 'out', 'merged'].map((one) => storing.folder(`${name}.${one}.jsonl`)) as [string, string, string]
  writeFileSync(input, text)
  await runBatch(storing.model, input, output, { name: 'demo' })
  await mergeBatch(input, merged, [output])
  const errors = merged.replace('.jsonl', '.errors.jsonl')
  return { results: readFileSync(merged, 'utf8'), errors: existsSync(errors) ? readFileSync(errors, 'utf8') : '' }
}

test('a batch has the bytes of `mixtral batch`, and all fields of the API', async () => {
  const { id: input, created_at: sentAt } = await sent(client(), mixed)
  const batch = await client().batches.create({
    input_file_id: input,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata: { customer: '7' },
    output_expires_after: { anchor: 'created_at', seconds: 7200 },
  })
  expect(batch).toMatchObject({ object: 'batch', status: 'validating', input_file_id: input, metadata: { customer: '7' } })
  expect(batch.expires_at! - batch.created_at).toBe(86_400)
  const done = await ended(client(), batch.id)
  expect(done).toEqual({
    ...batch,
    status: 'completed',
    model: 'demo',
    in_progress_at: expect.any(Number),
    finalizing_at: expect.any(Number),
    completed_at: expect.any(Number),
    output_file_id: expect.stringMatching(/^file-/),
    error_file_id: expect.stringMatching(/^file-/),
    request_counts: { total: 15, completed: 14, failed: 1 },
    usage: expect.objectContaining({ input_tokens_details: { cached_tokens: 0 } }),
  })
  expect(done.in_progress_at).toBeGreaterThanOrEqual(sentAt)
  const { results, errors } = await offline(mixed)
  expect(await contentOf(client(), done.output_file_id)).toBe(results)
  expect(await contentOf(client(), done.error_file_id)).toBe(errors)
  const counts = parsedLines(results).map(({ response }) => response.body.usage)
  const sum = (name: string) => counts.reduce((sum, usage) => sum + usage[name], 0)
  const { input_tokens, output_tokens, total_tokens } = done.usage!
  expect([input_tokens, output_tokens, total_tokens]).toEqual(['prompt_tokens', 'completion_tokens', 'total_tokens'].map(sum))
  const late = { status: 409, message: expect.stringContaining("Cannot cancel a batch with status 'completed'.") }
  await expect(client().batches.cancel(batch.id)).rejects.toMatchObject(late)
  const output = await client().files.retrieve(done.output_file_id!)
  expect(output).toMatchObject({ purpose: 'batch_output', filename: `${batch.id}_output.jsonl`, bytes: results.length })
  expect(output.expires_at! - output.created_at).toBe(7200)
  expect(filesIn(folder).some((name) => name.includes(`${batch.id}/`))).toBe(false)
  expect((await client().batches.list()).data[0]).toEqual(done)
})

test('completions and embeddings have batches, too; a file is there where it has a line', async () => {
  for (const [endpoint, text] of [
    ['/v1/completions', textOf([complete('Once upon a time'), complete('Long ago', { echo: true, logprobs: 1 })])],
    ['/v1/embeddings', textOf([embed('A goat'), embed('A king', { encoding_format: 'base64' })])],
  ] as const) {
    const done = await ended(client(), (await begun(client(), text, endpoint)).id)
    expect(done).toMatchObject({ status: 'completed', error_file_id: null, request_counts: { total: 2, completed: 2, failed: 0 } })
    expect(parsedLines(await contentOf(client(), done.output_file_id))).toHaveLength(2)
  }
  const wrong = await ended(client(), (await begun(client(), textOf([chat('x', { top_p: 7 })]), '/v1/chat/completions')).id)
  expect(wrong).toMatchObject({ status: 'completed', output_file_id: null, request_counts: { total: 1, completed: 0, failed: 1 } })
  const [line] = parsedLines(await contentOf(client(), wrong.error_file_id))
  expect(line.response.body.error).toMatchObject({ param: 'top_p' })
})

describe('inputs that are wrong', () => {
  const line = (more: object) => `${JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/completions', body: {}, ...more })}\n`
  test.each<[what: string, text: string, errors: object[]]>([
    ['no lines', '\n\n', [{ code: 'empty_file', line: null }]],
    ['no JSON', `${line({})}{"custom_id":\nnull\n`, [{ code: 'invalid_json_line', line: 2 }, { code: 'invalid_json_line', line: 3 }]], // biome-ignore format: one case
    ['a twin', `${line({})}\n${line({})}${line({})}`, [{ code: 'duplicate_custom_id', line: 3 }, { code: 'duplicate_custom_id', line: 4 }]], // biome-ignore format: one case
    ['another endpoint', `${line({})}${line({ custom_id: 'b', url: '/v1/embeddings' })}`, [{ code: 'invalid_url', line: 2, param: 'url' }]],
    ['a form that is wrong', `${line({ method: 'GET' })}${line({ body: 1 })}${line({ custom_id: 7 })}`, [{ line: 1, param: 'method' }, { line: 2, param: 'body' }, { line: 3, param: 'custom_id' }]], // biome-ignore format: one case
    ['a url that is none', line({ url: '/v1/responses' }), [{ code: 'invalid_url', line: 1, param: 'url' }]],
    ['a stream', `${line({})}${line({ custom_id: 'b', body: { stream: true } })}`, [{ code: 'streaming_unsupported', line: 2, param: 'body.stream' }]], // biome-ignore format: one case
    ['fields that are missing', ['custom_id', 'method', 'url', 'body'].map((name) => line({ [name]: undefined })).join(''), ['custom_id', 'method', 'url', 'body'].map((param, i) => ({ code: 'missing_required_parameter', line: i + 1, param }))], // biome-ignore format: one case
    ['another model', line({ body: { model: 'mixtral:8x7b' } }), [{ code: 'model_not_found', line: 1, param: 'body.model' }]],
    ['a model that is no name', line({ body: { model: 7 } }), [{ code: 'invalid_request', line: 1, param: 'body.model' }]],
    ['a line of 10 million bytes', `${line({})}${line({ custom_id: 'b', body: { prompt: 'x'.repeat(10_000_000) } })}`, [{ code: 'invalid_file', line: 2 }]], // biome-ignore format: one case
    ['a nest', `${'['.repeat(100_000)}\n`, [{ code: 'invalid_json_line', line: 1 }]],
    ['bytes that are no text', '\u0000\u0001\n', [{ code: 'invalid_json_line', line: 1 }]],
    ['more names than a model has', Array.from({ length: 40 }, (_, i) => line({ custom_id: `r${i}`, body: { model: `m${i}` } })).join(''), Array.from({ length: 40 }, (_, i) => ({ line: i + 1 }))], // biome-ignore format: one case
  ])('%s: the batch is failed, with the numbers of lines, and nothing has run', async (_, text, errors) => {
    const { steps } = storing.model.status()
    const { id } = await begun(client(), text, '/v1/completions')
    const failed = await ended(client(), id)
    expect(failed).toMatchObject({ status: 'failed', failed_at: expect.any(Number), errors: { object: 'list' }, output_file_id: null })
    expect(failed.errors!.data).toHaveLength(errors.length)
    expect(failed.errors!.data).toMatchObject(errors)
    expect(JSON.stringify(failed)).not.toContain(folder)
    expect(storing.model.status().steps).toBe(steps)
  })

  test('behind one that runs, a batch is checked at once, and a right one waits for its turn', async () => {
    const release = await held()
    const first = await begun(client(), textOf([complete('A')]), '/v1/completions')
    const right = await begun(client(), textOf([complete('B'), complete('C')]), '/v1/completions')
    const wrong = await begun(client(), '{"custom_id":\n', '/v1/completions')
    expect(await ended(client(), wrong.id)).toMatchObject({ status: 'failed', errors: { data: [{ code: 'invalid_json_line', line: 1 }] } })
    const counts = { total: 2, completed: 0, failed: 0 }
    expect(await client().batches.retrieve(right.id)).toMatchObject({ status: 'in_progress', model: 'demo', request_counts: counts })
    expect((await client().batches.retrieve(first.id)).status).toBe('in_progress')
    await until(() => !filesIn(folder).some((name) => name.includes(`${wrong.id}/`)))
    await release()
    const [one, two] = [await ended(client(), first.id), await ended(client(), right.id)]
    expect([one.status, two.status]).toEqual(['completed', 'completed'])
    expect(one.output_file_id! < two.output_file_id!).toBe(true) // ids grow with time
  })

  test('a batch of a wrong body is refused at once', async () => {
    const { id } = await sent(client(), mixed)
    const right = { input_file_id: id, endpoint: '/v1/chat/completions', completion_window: '24h' }
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, '']))
    for (const [more, param] of [
      [{ endpoint: '/v1/responses' }, 'endpoint'],
      [{ completion_window: '1h' }, 'completion_window'],
      [{ input_file_id: '../../x' }, 'input_file_id'],
      [{ input_file_id: 7 }, 'input_file_id'],
      [{ metadata: many }, 'metadata'],
      [{ metadata: { a: 7 } }, 'metadata.a'],
      [{ output_expires_after: { anchor: 'created_at', seconds: 1 } }, 'output_expires_after.seconds'],
    ] as const) {
      const asked = client().batches.create({ ...right, ...more } as never)
      const [found] = Object.values(more)
      if ('endpoint' in more || 'completion_window' in more)
        await expect(asked).rejects.toThrow(`${param} is ${JSON.stringify(found)}, expected `)
      await expect(asked, param).rejects.toMatchObject({ status: param === 'input_file_id' && more.input_file_id !== 7 ? 404 : 400, param })
    }
    // a schema would make an error for each of them
    const wrong = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 7]))
    await expect(client().batches.create({ ...right, metadata: wrong } as never)).rejects.toMatchObject({ status: 400, param: 'metadata' })
    const output = (await client().batches.list()).data.find(({ output_file_id }) => output_file_id)!.output_file_id!
    await expect(client().batches.create({ ...right, input_file_id: output } as never)).rejects.toMatchObject({ status: 400 })
  })
})

const long = textOf(Array.from({ length: 24 }, (_, i) => complete(`${endless}${i}`, { max_tokens: 40, ignore_eos: true })))

describe('a batch that ends early', () => {
  test('keeps what it has, and says of the others why they have none', async () => {
    const { id } = await begun(client(), long, '/v1/completions')
    await until(async () => (await client().batches.retrieve(id)).request_counts!.completed > 2)
    const asked = await client().batches.cancel(id)
    expect(['cancelling', 'cancelled']).toContain(asked.status)
    const done = await ended(client(), id)
    expect(done).toMatchObject({ status: 'cancelled', cancelling_at: expect.any(Number), cancelled_at: expect.any(Number) })
    const [results, errors] = [await contentOf(client(), done.output_file_id), await contentOf(client(), done.error_file_id)]
    expect(done.request_counts!.completed).toBe(parsedLines(results).length)
    expect(parsedLines(results).length + parsedLines(errors).length).toBe(24)
    for (const { response, error } of parsedLines(errors)) expect([response, error.code]).toEqual([null, 'batch_cancelled'])
    const whole = (await offline(long)).results
    for (const line of results.split('\n')) expect(whole).toContain(line)
    expect(await client().batches.cancel(id)).toEqual(done)
  })

  test('may not have begun, and has no files then; others go on', async () => {
    const release = await held()
    const first = await begun(client(), long, '/v1/completions')
    const second = await begun(client(), long, '/v1/completions')
    const third = await begun(client(), textOf([complete('A')]), '/v1/completions')
    await until(async () => (await client().batches.retrieve(first.id)).status === 'in_progress')
    await client().batches.cancel(second.id)
    await client().batches.cancel(first.id)
    expect(await ended(client(), second.id)).toMatchObject({ status: 'cancelled', output_file_id: null, error_file_id: null })
    expect(await ended(client(), first.id)).toMatchObject({ status: 'cancelled', request_counts: { completed: 0 } })
    await release()
    expect(await ended(client(), third.id)).toMatchObject({ status: 'completed' })
  })

  test('cancelled many times at once, it is cancelled once', async () => {
    const { id } = await begun(client(), long, '/v1/completions')
    const answers = await Promise.allSettled(Array.from({ length: 10 }, () => client().batches.cancel(id)))
    expect(answers.some(({ status }) => status === 'fulfilled')).toBe(true)
    expect((await ended(client(), id)).status).toBe('cancelled')
  })
})

test('batches run in the order of their making, and lists have the newest first', async () => {
  const release = await held()
  const ids: string[] = []
  for (let i = 0; i < 3; i++) ids.push((await begun(client(), textOf([complete(`${i}`)]), '/v1/completions')).id)
  await release()
  const done = await Promise.all(ids.map((id) => ended(client(), id)))
  const order = done.map(({ output_file_id }) => output_file_id!)
  expect(order.toSorted()).toEqual(order) // ids grow with time
  const listed: string[] = []
  for await (const { id } of client().batches.list({ limit: 1 })) if (ids.includes(id)) listed.push(id)
  expect(listed).toEqual(ids.toReversed())
})

test('an input that is deleted while its batch waits, or runs, is read nevertheless', async () => {
  const release = await held()
  const batch = await begun(client(), textOf([complete('A'), complete('B')]), '/v1/completions')
  await client().files.delete(batch.input_file_id)
  await release()
  expect(await ended(client(), batch.id)).toMatchObject({ status: 'completed', request_counts: { completed: 2 } })
  await expect(client().files.content(batch.input_file_id)).rejects.toMatchObject({ status: 404 })
})

test('a batch that is made while its input is deleted has it, or is refused', async () => {
  for (let i = 0; i < 10; i++) {
    const { id } = await sent(client(), textOf([complete('A', { max_tokens: 1 })]))
    const asked = { input_file_id: id, endpoint: '/v1/completions', completion_window: '24h' } as const
    const [made, ...deleted] = await Promise.allSettled([
      client().batches.create(asked),
      client().files.delete(id),
      client().files.delete(id),
    ])
    expect(deleted.map((one) => (one.status === 'fulfilled' ? 200 : one.reason.status)).sort()).toEqual([200, 404])
    if (made.status === 'fulfilled') expect((await ended(client(), made.value.id)).status).toBe('completed')
    else expect(made.reason.status).toBe(404)
  }
})

test('a name with control characters does no harm to what is said of lines', async () => {
  const { id } = await sent(client(), '{}\n', 'a\u001b[31m:9: b')
  const { id: batch } = await client().batches.create({ input_file_id: id, endpoint: '/v1/completions', completion_window: '24h' })
  const { errors } = await ended(client(), batch)
  expect(errors!.data).toMatchObject([{ line: 1, param: 'custom_id', message: expect.not.stringContaining('\u001b') }])
})

test('while a client waits for an answer, no request of a batch takes part in a step', async () => {
  const { id } = await begun(client(), long, '/v1/completions')
  await until(async () => (await client().batches.retrieve(id)).request_counts!.completed > 0)
  const asked = { model: 'demo', prompt: endless, stream: true as const, max_tokens: 400, temperature: 0 }
  const stream = await client().completions.create({ ...asked, ignore_eos: true } as typeof asked)
  const pieces = stream[Symbol.asyncIterator]()
  await pieces.next()
  for (let i = 0; i < 50; i++) {
    await pieces.next()
    expect(storing.model.status().rowsPerStep).toBe(1)
  }
  const { request_counts: counts, status } = await client().batches.retrieve(id)
  expect([status, counts!.completed < 24]).toEqual(['in_progress', true])
  stream.controller.abort()
  const done = await ended(client(), id)
  expect(await contentOf(client(), done.output_file_id)).toBe((await offline(long)).results)
})

test('of many models, a batch has the one that its lines name', async () => {
  const models = await ModelCatalog.open({ models: ['demo'], load: { threads: 1, sequences: 4 } })
  const many = await storing.start(storing.folder('catalog'), {}, models)
  const asked = (lines: Parameters<typeof textOf>[0]) => begun(clientOf(many), textOf(lines), '/v1/completions')
  const open = await ended(clientOf(many), (await asked([complete('A')])).id)
  expect(open.errors!.data).toMatchObject([
    { code: 'invalid_request', line: 1, param: 'body.model', message: expect.stringContaining('required') },
  ])
  const two = await ended(clientOf(many), (await asked([complete('A', { model: 'demo' }), complete('B', { model: 'other' })])).id)
  expect(two.errors!.data).toMatchObject([{ code: 'model_not_found', line: 2 }])
  expect(models.loaded).toEqual([])
  const done = await ended(clientOf(many), (await asked([complete('A', { model: 'demo' }), complete('B', { model: 'demo:latest' })])).id)
  expect(done).toMatchObject({ status: 'completed', model: 'demo' })
  const lines = parsedLines(await contentOf(clientOf(many), done.output_file_id))
  expect(lines.map(({ response }) => response.body.model)).toEqual(['demo', 'demo:latest'])
  await many.close()
  await models.close()
})

describe('a server that ends', () => {
  test('leaves its batches to the next one, with the bytes of a run without a break', async () => {
    const own = storing.folder('again')
    let one = await storing.start(own)
    const { id } = await begun(clientOf(one), long, '/v1/completions')
    const waiting = await begun(clientOf(one), mixed, '/v1/chat/completions')
    for (const least of [3, 10]) {
      await until(async () => (await clientOf(one).batches.retrieve(id)).request_counts!.completed >= least)
      await one.close()
      one = await storing.start(own)
    }
    const done = await ended(clientOf(one), id)
    expect(await contentOf(clientOf(one), done.output_file_id)).toBe((await offline(long)).results)
    const next = await ended(clientOf(one), waiting.id)
    expect(await contentOf(clientOf(one), next.output_file_id)).toBe((await offline(mixed)).results)
    await one.close()
  })

  test('does not run what has expired meanwhile, and forgets what is old', async () => {
    const own = storing.folder('expired')
    let one = await storing.start(own)
    const { id } = await begun(clientOf(one), long, '/v1/completions')
    await until(async () => (await clientOf(one).batches.retrieve(id)).request_counts!.completed > 2)
    const old = await sent(clientOf(one), 'old')
    await one.close()
    const change = (file: string, from: RegExp, to: string) => {
      const text = readFileSync(path.join(own, file), 'utf8')
      expect(text).toMatch(from)
      writeFileSync(path.join(own, file), text.replace(from, to))
    }
    change(`batches/${id}.json`, /"expires_at":\d+/, '"expires_at":1700000000')
    change(`files/${old.id}.json`, /"expiresAt":\d+/, '"expiresAt":1700000000')
    one = await storing.start(own)
    const done = await ended(clientOf(one), id)
    expect(done).toMatchObject({ status: 'expired', expired_at: expect.any(Number) })
    const [results, errors] = [await contentOf(clientOf(one), done.output_file_id), await contentOf(clientOf(one), done.error_file_id)]
    expect(parsedLines(results).length).toBeGreaterThan(2)
    expect(parsedLines(results).length + parsedLines(errors).length).toBe(24)
    expect(parsedLines(errors)[0].error.code).toBe('batch_expired')
    expect(filesIn(own).some((name) => name.includes(old.id))).toBe(false)
    await one.close()
    change(`batches/${id}.json`, /"expired_at":\d+/, '"expired_at":1600000000')
    one = await storing.start(own)
    expect((await clientOf(one).batches.list()).data).toEqual([])
    await one.close()
  })

  test('of a batch of another version, all results are made anew', async () => {
    const own = storing.folder('version')
    let one = await storing.start(own)
    const { id } = await begun(clientOf(one), long, '/v1/completions')
    await until(async () => (await clientOf(one).batches.retrieve(id)).request_counts!.completed > 2)
    await one.close()
    const file = path.join(own, `batches/${id}.json`)
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"numerics":"[^"]*"/, '"numerics":"mixtral-wasm-0.0.1"'))
    one = await storing.start(own)
    const done = await ended(clientOf(one), id)
    expect(await contentOf(clientOf(one), done.output_file_id)).toBe((await offline(long)).results)
    await one.close()
  })

  test('what is damaged, or was begun only, does not keep it from starting', async () => {
    const own = storing.folder('damaged')
    let one = await storing.start(own)
    const kept = await sent(clientOf(one), 'kept')
    await one.close()
    const left = `file-${'1'.repeat(32)}`
    const names = [`files/${left}`, `files/${left}.json~0a0a0a0a`, `uploads/${crypto.randomUUID()}`]
    for (const name of names) writeFileSync(path.join(own, name), 'x')
    writeFileSync(path.join(own, `batches/batch_${'1'.repeat(32)}.json`), '{"id":1}')
    one = await storing.start(own)
    expect((await clientOf(one).files.list()).data).toEqual([kept])
    expect((await clientOf(one).batches.list()).data).toEqual([])
    expect(filesIn(own)).toEqual([`batches/batch_${'1'.repeat(32)}.json`, `files/${kept.id}`, `files/${kept.id}.json`])
    await one.close()
  })
})
