import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mergeBatch, runBatch, verifyBatch } from '../../../dist/batch.js'
import { MixtralModel } from '../../../dist/index.js'
import { chat, complete, demo, embed, linesIn, testFolder, writeInput } from './batchFiles.js'

const file = testFolder()
const input = file('in.jsonl')
const results = file('merged.jsonl')
const schema = { type: 'object', properties: { a: { type: 'integer' }, b: { enum: ['one', 'two'] } }, required: ['a', 'b'] }
const tool = { type: 'function', function: { name: 'add', parameters: { type: 'object', properties: { a: { type: 'integer' } } } } }
const every = [
  chat('What is 7 + 5?', { temperature: 0 }),
  chat('Tell a story', { max_tokens: 60 }),
  chat('Tell a story', { max_tokens: 60, temperature: 1.5, top_p: 0.8, min_p: 0.02, typical_p: 0.9 }),
  chat('Tell a story', { repetition_penalty: 1.3, presence_penalty: 0.4, frequency_penalty: 0.3, dry_multiplier: 0.8, max_tokens: 40 }),
  chat('Tell a story', { mirostat: 1, max_tokens: 30 }),
  chat('Tell a story', { mirostat: 2, max_tokens: 30 }),
  chat('Tell a story', { xtc_probability: 0.5, xtc_threshold: 0.05, max_tokens: 30 }),
  chat('Tell a story', { logprobs: true, top_logprobs: 3 }),
  chat('Tell a story', { n: 3, max_tokens: 12 }),
  chat('Tell a story', { stop: ['.', 'the'], max_tokens: 60 }),
  chat('Tell a story', { response_format: { type: 'json_schema', json_schema: { name: 'x', schema } }, max_tokens: 60 }),
  chat('Tell a story', { response_format: { type: 'json_schema', json_schema: { name: 'x', schema } }, max_tokens: 60, logprobs: true }),
  chat('Add 1', { tools: [tool], tool_choice: 'required', max_tokens: 60 }),
  chat('Tell a story', { return_routed_experts: true }),
  chat('Tell a story', { logit_bias: { 300: 5, 301: -100 }, bad_words: ['the'] }),
  chat('Tell a story', { min_tokens: 5, ignore_eos: true, max_tokens: 20 }),
  complete('Once upon a time', { max_tokens: 100 }),
  complete('Once upon a time', { echo: true, logprobs: 2 }),
  complete('Once upon a time', { max_tokens: 0, echo: true }),
  complete('', { grammar: 'root ::= "a" [0-9]+ "b"', max_tokens: 20 }),
  complete('x', { grammar: 'root ::= "only this"' }),
  complete('x', { grammar: 'root ::= "only this"', logprobs: 1 }),
  { url: '/v1/completions', body: { prompt: ['One', 'Two'], max_tokens: 5, n: 2 } },
  embed('A goat'),
  embed('A goat', { encoding_format: 'base64' }),
  chat('x', { temperature: -1 }),
]

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load(demo, { threads: 2 })
  writeInput(input, every)
  await runBatch(model, input, file('out.jsonl'))
  await mergeBatch(input, results, [file('out.jsonl')])
})
afterAll(() => model.close())

test('honest results hold, whatever their options are', async () => {
  const { wrong, lines, computed, tokens } = await verifyBatch(model, input, results)
  expect(wrong).toBeUndefined()
  expect({ lines, computed }).toEqual({ lines: linesIn(results).length, computed: linesIn(results).length })
  expect(tokens).toBeGreaterThan(400)
  const failed = await verifyBatch(model, input, file('merged.errors.jsonl'))
  expect(failed).toMatchObject({ wrong: undefined, lines: linesIn(file('merged.errors.jsonl')).length })
})

test('the lines of a run hold in their own order, and by a model that shares its steps otherwise', async () => {
  const other = await MixtralModel.load(demo, { threads: 1, sequences: 2, batchSize: 16 })
  expect(await verifyBatch(other, input, file('out.jsonl'))).toMatchObject({ wrong: undefined })
  await other.close()
})

/** The verdict of the results with one line changed. */
async function altered(index: number, change: (line: string) => string) {
  const lines = readFileSync(results, 'utf8').split('\n')
  const other = change(lines[index]!)
  expect(other).not.toBe(lines[index])
  lines[index] = other
  writeFileSync(file('altered.jsonl'), lines.join('\n'))
  const { wrong } = await verifyBatch(model, input, file('altered.jsonl'))
  expect(wrong?.line).toBe(index + 1)
  return wrong!.why
}

describe('what is altered is named', () => {
  test('a token', async () => {
    const why = await altered(1, (line) => line.replace(/("tokens":\[\[(?:\d+,){5})(\d+)/, (_, before, id) => `${before}${Number(id) + 1}`))
    expect(why).toMatch(/^token 6 of the answer is \d+, expected \d+$/)
  })

  test.each([0, 1, 3, 4, 5, 6, 7, 10, 11, 12, 14, 16])('the first token of answer %i', async (i) => {
    await altered(i, (line) => line.replace(/"tokens":\[\[(\d+)/, (_, id) => `"tokens":[[${id === '300' ? 301 : 300}`))
  })

  test('a token that is missing, and one too many', async () => {
    expect(await altered(1, (line) => line.replace(/,\d+\]\]/, ']]'))).toMatch(/^token \d+ of the answer is none, expected \d+$/)
    expect(await altered(1, (line) => line.replace(/\]\]/, ',300]]'))).toMatch(/tokens behind its end/)
    expect(await altered(1, (line) => line.replace(/"tokens":\[\[.*\]\]/, '"tokens":[[]]'))).toMatch(/^token 1 of the answer is none/)
  })

  test('an id outside of the vocabulary', async () => {
    expect(await altered(1, (line) => line.replace(/"tokens":\[\[\d+/, '"tokens":[[99999999'))).toMatch(/99999999/)
  })

  test('the text, the reason of its end, a count', async () => {
    expect(await altered(1, (line) => line.replace(/"content":"(.)/, '"content":"#'))).toMatch(
      /^response\.body\.choices\.0\.message\.content is/,
    )
    expect(await altered(1, (line) => line.replace('"finish_reason":"', '"finish_reason":"x'))).toMatch(/finish_reason is "x/)
    expect(await altered(1, (line) => line.replace(/"completion_tokens":(\d)/, '"completion_tokens":9$1'))).toMatch(
      /completion_tokens is 9/,
    )
  })

  test('a log-probability', async () => {
    expect(await altered(7, (line) => line.replace(/"logprob":-(\d\.\d)/, '"logprob":-9$1'))).toMatch(/logprob/)
  })

  test('a seed, a key, an id, a number of a vector', async () => {
    expect(await altered(2, (line) => line.replace(/"seed":(\d)/, '"seed":9$1'))).toMatch(/^seed is 9/)
    expect(await altered(2, (line) => line.replace(/"key":"./, '"key":"z'))).toMatch(/^key is "z/)
    expect(await altered(2, (line) => line.replace(/"batch_req_./, '"batch_req_z'))).toMatch(/^id is "batch_req_z/)
    const vector = linesIn(results).findIndex(({ response }) => response.body.object === 'list')
    expect(await altered(vector, (line) => line.replace(/"embedding":\[(-?)0\.0/, '"embedding":[$10.1'))).toMatch(/embedding\.0 is/)
  })

  test('a request', async () => {
    writeFileSync(file('in2.jsonl'), readFileSync(input, 'utf8').replace('7 + 5', '7 + 6'))
    const { wrong } = await verifyBatch(model, file('in2.jsonl'), results)
    expect(wrong).toMatchObject({ line: 1, customId: 'r0', why: expect.stringMatching(/^batch is/) })
  })

  test('a result that is there twice, that is cut, that answers nothing', async () => {
    const [first] = readFileSync(results, 'utf8').split('\n')
    writeFileSync(file('twice.jsonl'), `${first}\n${first}\n`)
    expect((await verifyBatch(model, input, file('twice.jsonl'))).wrong).toMatchObject({
      line: 2,
      why: expect.stringContaining('earlier line'),
    })
    writeFileSync(file('cut.jsonl'), `${first}\n${first!.slice(0, 100)}`)
    expect((await verifyBatch(model, input, file('cut.jsonl'))).wrong).toMatchObject({ line: 2, why: 'the line is cut' })
    writeFileSync(file('unknown.jsonl'), `${first!.replace('"r0"', '"r999"')}\n`)
    expect((await verifyBatch(model, input, file('unknown.jsonl'))).wrong).toMatchObject({ line: 1, customId: 'r999' })
  })

  test('a byte order mark, which no result has', async () => {
    writeFileSync(file('marked.jsonl'), `\ufeff${readFileSync(results, 'utf8')}`)
    expect((await verifyBatch(model, input, file('marked.jsonl'))).wrong).toMatchObject({
      line: 1,
      why: 'the line is no result of a batch',
    })
  })

  test('a byte of the model', async () => {
    copyFileSync(demo, file('damaged.gguf'))
    const bytes = readFileSync(file('damaged.gguf'))
    bytes[bytes.length - 100_000]! ^= 1
    writeFileSync(file('damaged.gguf'), bytes)
    const damaged = await MixtralModel.load(file('damaged.gguf'), { threads: 1 })
    expect((await verifyBatch(damaged, input, results)).wrong).toMatchObject({ line: 1, why: expect.stringMatching(/^model is "/) })
    await damaged.close()
  })
})

test('a sample computes some lines, at least one, and looks at all', async () => {
  const { computed, lines, wrong } = await verifyBatch(model, input, results, { sample: 0.0001 })
  expect({ computed, lines, wrong }).toEqual({ computed: 1, lines: linesIn(results).length, wrong: undefined })
  await expect(verifyBatch(model, input, results, { sample: 0 })).rejects.toMatchObject({ code: 'OPTION' })
})
