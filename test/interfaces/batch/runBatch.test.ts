import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { mergeBatch, runBatch } from '../../../dist/batch.js'
import { MixtralModel } from '../../../dist/index.js'
import { Claims } from '../../../dist/interfaces/batch/claims.js'
import { createApp } from '../../../dist/server.js'
import { chat, complete, demo, embed, linesIn, testFolder, writeInput } from './batchFiles.js'

const file = testFolder()
const input = file('in.jsonl')
const lines = [
  chat('What is the capital of France?', { temperature: 0 }),
  complete('Once upon a time', { logprobs: 1, echo: true }),
  embed('A goat'),
  chat('x', { temperature: -1 }),
  complete('Long ago, in a far away land,', { seed: 4, max_tokens: 12 }),
  chat('What is 7 + 5?', { n: 2 }),
  chat('What is 7 + 5?', { stream: true }),
  complete('word '.repeat(600)),
  ...Array.from({ length: 20 }, (_, i) => complete(`The number ${i}`)),
]

let model: MixtralModel
let whole: string
let errors: string
beforeAll(async () => {
  model = await MixtralModel.load(demo, { threads: 2 })
  writeInput(input, lines)
  await runBatch(model, input, file('out.jsonl'))
  await mergeBatch(input, file('merged.jsonl'), [file('out.jsonl')])
  whole = readFileSync(file('merged.jsonl'), 'utf8')
  errors = readFileSync(file('merged.errors.jsonl'), 'utf8')
})
afterAll(() => model.close())

/** What is in the merged files of `from`. */
async function merged(name: string, ...from: string[]): Promise<{ whole: string; errors: string }> {
  await mergeBatch(input, file(`${name}.jsonl`), from)
  return { whole: readFileSync(file(`${name}.jsonl`), 'utf8'), errors: readFileSync(file(`${name}.errors.jsonl`), 'utf8') }
}

test('each request has a line in the form of the API', () => {
  const all = linesIn(file('merged.jsonl'))
  expect(all.map(({ custom_id }) => custom_id)).toEqual([
    'r0',
    'r1',
    'r2',
    'r4',
    'r5',
    ...Array.from({ length: 20 }, (_, i) => `r${i + 8}`),
  ])
  expect(all[0]).toMatchObject({
    id: expect.stringMatching(/^batch_req_[0-9a-f]{32}$/),
    response: {
      status_code: 200,
      request_id: expect.stringMatching(/^req_[0-9a-f]{32}$/),
      body: {
        id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
        object: 'chat.completion',
        created: 0,
        choices: [{ message: { role: 'assistant', content: 'The capital of France is Paris.' } }],
      },
    },
    error: null,
    mixtral: { batch: expect.stringMatching(/^batch_/), key: expect.stringMatching(/^[0-9a-f]{64}$/) },
  })
  expect(all[2].response.body.data[0].embedding).toHaveLength(model.config.hiddenSize)
  expect(all[4].mixtral.tokens).toHaveLength(2)
  const { tokens, token_logprobs: logprobs } = all[1].response.body.choices[0].logprobs
  expect(tokens.join('')).toMatch(/Once upon a time/) // of the prompt, too
  expect(logprobs.length).toBe(tokens.length)
})

test('a request that is wrong has its answer in the file of errors, as the server gives it', async () => {
  const failed = linesIn(file('merged.errors.jsonl'))
  expect(failed.map(({ custom_id, response }) => [custom_id, response.status_code])).toEqual([
    ['r3', 400],
    ['r6', 400],
    ['r7', 400],
  ])
  const app = createApp(model)
  for (const [i, line] of [lines[3]!, lines[7]!].entries()) {
    const asked = new Request(`http://localhost${line.url}`, { method: 'POST', body: JSON.stringify(line.body) })
    expect(failed[i * 2].response.body).toEqual(await (await app.fetch(asked)).json())
  }
  expect(failed[1].response.body.error).toMatchObject({ param: 'stream', code: 'unsupported_parameter' })
  await app.close()
})

test('answers are those of the server, but for ids, times and counts of the cache', async () => {
  const app = createApp(model)
  const results = new Map(linesIn(file('merged.jsonl')).map((line) => [line.custom_id, line]))
  for (const i of [0, 1, 2, 4, 5]) {
    const { url, body } = lines[i]!
    const { response, mixtral } = results.get(`r${i}`)
    const seeded = mixtral.seed === undefined ? body : { ...body, seed: mixtral.seed }
    const answer = await (await app.fetch(new Request(`http://localhost${url}`, { method: 'POST', body: JSON.stringify(seeded) }))).json()
    const { id: _, created, usage, ...rest } = answer
    const { id: __, created: ___, usage: counted, ...own } = response.body
    expect(own).toEqual(rest)
    const { prompt_tokens_details: ____, completion_tokens_details: _____, ...counts } = usage
    expect(counted).toEqual(counts)
  }
  await app.close()
})

test('a request with a seed keeps it, one without gets one from the batch and its id', () => {
  const all = linesIn(file('merged.jsonl'))
  const seeds = all.filter(({ mixtral }) => mixtral.seed !== undefined).map(({ mixtral }) => mixtral.seed)
  expect(all[3].mixtral.seed).toBe(4)
  expect(new Set(seeds).size).toBe(seeds.length)
  expect(all[2].mixtral.seed).toBeUndefined()
})

test('a run cut at any byte goes on, with the same bytes in the end', async () => {
  const bytes = readFileSync(file('out.jsonl'))
  const second = bytes.indexOf('\n') + 1
  for (const [i, length] of [0, 1, second - 1, second, second + 40, bytes.length - 1].entries()) {
    const cut = file(`cut${i}.jsonl`)
    writeFileSync(cut, bytes.subarray(0, length))
    const summary = await runBatch(model, input, cut)
    expect(summary.found).toBe(bytes.subarray(0, length).toString().split('\n').length - 1)
    expect(await merged(`whole${i}`, cut)).toEqual({ whole, errors })
  }
})

test('a run over a whole output does nothing, and leaves it as it is', async () => {
  const before = readFileSync(file('out.jsonl'), 'utf8')
  const summary = await runBatch(model, input, file('out.jsonl'))
  expect(summary).toMatchObject({ done: lines.length, found: lines.length, failed: 3, newTokens: 0 })
  expect(readFileSync(file('out.jsonl'), 'utf8')).toBe(before)
})

test('a run that is aborted keeps what it has', async () => {
  const controller = new AbortController()
  const onProgress = ({ done }: { done: number }) => {
    if (done === 5) controller.abort()
  }
  await expect(runBatch(model, input, file('aborted.jsonl'), { signal: controller.signal, onProgress })).rejects.toMatchObject({
    code: 'ABORTED',
  })
  expect(linesIn(file('aborted.jsonl')).length + linesIn(file('aborted.errors.jsonl')).length).toBeGreaterThanOrEqual(5)
  await runBatch(model, input, file('aborted.jsonl'))
  expect(await merged('resumed', file('aborted.jsonl'))).toEqual({ whole, errors })
})

describe('an output of another batch is refused by its line', () => {
  const run = (output: string, from = input) => runBatch(model, from, output)

  test('of another file', async () => {
    writeInput(file('other.jsonl'), [chat('Hello')])
    await expect(run(file('out.jsonl'), file('other.jsonl'))).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringMatching(
        /out\.jsonl:1: a result of ".*" whose batch, a hash of the file of requests, is "batch_.*", expected "batch_/,
      ),
    })
  })

  test('of another context length', async () => {
    const shorter = await MixtralModel.load(demo, { threads: 1, contextLength: 128 })
    await expect(runBatch(shorter, input, file('out.jsonl'))).rejects.toThrow(
      /whose numerics, .* context, is "mixtral-wasm-.*-c512", expected "mixtral-wasm-.*-c128"; give the output another name/,
    )
    await shorter.close()
  })

  test('and one that is no output at all', async () => {
    writeFileSync(file('text.jsonl'), 'dear diary\n')
    await expect(run(file('text.jsonl'))).rejects.toThrow(`${file('text.jsonl')}:1: a line that is no result`)
    expect(readFileSync(file('text.jsonl'), 'utf8')).toBe('dear diary\n')
    await expect(run(input)).rejects.toThrow('is an input')
  })

  test.each(['my only key: 12345', '{"id":"batch_7"'])('and one whose only line has no end: %s', async (text) => {
    writeFileSync(file('key.txt'), text)
    await expect(run(file('key.txt'))).rejects.toThrow(`${file('key.txt')}:1: a line that is no result`)
    expect(readFileSync(file('key.txt'), 'utf8')).toBe(text)
  })

  test.skipIf(process.platform === 'win32')('nor does a pipe keep a run waiting', async () => {
    execFileSync('mkfifo', [file('pipe.jsonl')])
    await expect(run(file('out.jsonl'), file('pipe.jsonl'))).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringContaining('not a file'),
    })
    mkdirSync(file('piped/parts'), { recursive: true })
    execFileSync('mkfifo', [file('piped/parts/000000.0a1b2c3d.jsonl')])
    expect((await run(file('piped/'))).done).toBe(lines.length)
  })
})

test('a request of another model is refused before anything runs', async () => {
  writeInput(file('foreign.jsonl'), [chat('Hello'), chat('Hello', { model: 'gpt-4' })])
  await expect(runBatch(model, file('foreign.jsonl'), file('foreign-out.jsonl'))).rejects.toThrow(
    `${file('foreign.jsonl')}:2: model is "gpt-4", expected "tiny-mixtral.Q4_K_M"`,
  )
  await runBatch(model, file('foreign.jsonl'), file('foreign-out.jsonl'), { name: 'gpt-4' })
  expect(linesIn(file('foreign-out.jsonl')).map(({ response }) => response.body.model)).toEqual(['gpt-4', 'gpt-4'])
})

test('shards are parts of the whole', async () => {
  const parts = [1, 2, 3].map((index) => file(`part${index}.jsonl`))
  for (const [i, part] of parts.entries()) await runBatch(model, input, part, { shard: { index: i + 1, count: 3 } })
  expect(await merged('shards', ...parts)).toEqual({ whole, errors })
  await expect(mergeBatch(input, file('few.jsonl'), parts.slice(1))).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/^9 of 28 requests have no result, the first is that of .*in\.jsonl:1$/),
  })
})

describe('a folder', () => {
  test('is shared by runs at the same time', async () => {
    const runs = await Promise.all([1, 2].map(() => runBatch(model, input, file('shared/'))))
    expect(runs.map(({ done }) => done)).toEqual([lines.length, lines.length])
    expect(await merged('folder', file('shared/'))).toEqual({ whole, errors })
    expect(readdirSync(file('shared/claims'))).toEqual([])
    expect(readdirSync(file('shared/parts'))).toEqual([])
  })

  test('has claims of processes that are gone, and what they have done', async () => {
    const folder = file('left')
    for (const name of ['claims', 'parts', 'results']) mkdirSync(path.join(folder, name), { recursive: true })
    writeFileSync(path.join(folder, 'claims/000000~claim.4194304.99.00000000.0a1b2c3d'), '')
    const old = new Date(Date.now() - 3_600_000)
    utimesSync(path.join(folder, 'claims/000000~claim.4194304.99.00000000.0a1b2c3d'), old, old)
    const [first, second] = readFileSync(file('out.jsonl'), 'utf8').split('\n')
    writeFileSync(path.join(folder, 'parts/000000.0a1b2c3d.jsonl'), `${first}\n${second!.slice(0, 50)}`)
    const summary = await runBatch(model, input, folder)
    expect(summary).toMatchObject({ found: 1, done: lines.length })
    expect(await merged('taken', folder)).toEqual({ whole, errors })
  })

  test('has files of other names, which are results of nothing', async () => {
    mkdirSync(file('strange/results'), { recursive: true })
    for (const name of ['.jsonl', '0.jsonl', '0x0.jsonl', '-1.jsonl', '000000']) writeFileSync(file(`strange/results/${name}`), '')
    expect(await runBatch(model, input, file('strange/'))).toMatchObject({ found: 0, done: lines.length })
    expect(await merged('strange', file('strange/'))).toEqual({ whole, errors })
  })

  test('is not blocked by a claim whose time is made up', async () => {
    mkdirSync(file('claims'))
    const claim = file('claims/000000~claim.5.6.00000000.0a1b2c3d')
    writeFileSync(claim, '')
    utimesSync(claim, 4e9, 4e9)
    const claims = new Claims(file('claims'))
    expect([...(await claims.taken())]).toEqual(['000000'])
    const later = performance.now() + 61_000
    const clock = vi.spyOn(performance, 'now').mockReturnValue(later)
    utimesSync(claim, 4e9 + 5, 4e9 + 5) // touched again: its machine's clock is ahead
    expect([...(await claims.taken())]).toEqual(['000000'])
    clock.mockReturnValue(later + 61_000)
    expect([...(await claims.taken())]).toEqual([])
    clock.mockRestore()
    expect(readdirSync(file('claims'))).toEqual([])
    await claims.close()
  })

  test('of another batch is refused', async () => {
    writeInput(file('other.jsonl'), [chat('Hello')])
    await expect(runBatch(model, file('other.jsonl'), file('shared/'))).rejects.toMatchObject({ code: 'OPTION' })
    await expect(runBatch(model, input, file('shared/'), { shard: { index: 1, count: 2 } })).rejects.toMatchObject({ code: 'OPTION' })
  })
})

test('results that differ are refused, the same ones count once', async () => {
  const altered = whole.replace('"content":"The', '"content":"Tho')
  writeFileSync(file('differs.jsonl'), altered)
  await expect(mergeBatch(input, file('x.jsonl'), [file('out.jsonl'), file('differs.jsonl')])).rejects.toThrow(
    /differs\.jsonl:1: the result of "r0" differs from that of .*out\.jsonl:/,
  )
  expect(await mergeBatch(input, file('x.jsonl'), [file('out.jsonl'), file('merged.jsonl')])).toMatchObject({
    results: 25,
    failed: 3,
    repeated: 28,
  })
})

test('options that are none are named', async () => {
  const run = (options: object) => runBatch(model, input, file('y.jsonl'), options)
  await expect(run({ shards: 3 })).rejects.toThrow('unknown option shards')
  await expect(run({ shard: { index: 4, count: 3 } })).rejects.toThrow('expected an index from 1 to its count')
  await expect(run({ errors: 7 })).rejects.toThrow('errors is 7')
  await expect(mergeBatch(input, file('y.jsonl'), 'x' as never)).rejects.toThrow('expected a list of paths')
})
