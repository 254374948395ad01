// Batches as files and in queues: requests, results that are merged, and what a queue's server says. Each is damaged,
// and read as the commands read it.

import fs from 'node:fs/promises'
import path from 'node:path'
import { BatchInput } from '../../../dist/interfaces/batch/batchInput.js'
import { keyedRequest } from '../../../dist/interfaces/batch/batchModel.js'
import { mergeBatch } from '../../../dist/interfaces/batch/mergeBatch.js'
import { checkChunk } from '../../../dist/interfaces/batch/queueBatches.js'
import { failureLine, resultLine, storedResult } from '../../../dist/interfaces/batch/resultLine.js'
import { mutateJson, mutateJsonText, mutateText } from '../mutations.mjs'

const utf8 = new TextEncoder()
const messages = [{ role: 'user', content: 'Hi' }]
export const lines = [
  { custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body: { model: 'm', messages, seed: 3 } },
  { custom_id: 'b', method: 'POST', url: '/v1/completions', body: { prompt: 'x', max_tokens: 2 } },
  { custom_id: 'é😀', method: 'POST', url: '/v1/embeddings', body: { input: 'x' } },
]
const textOf = (all) => all.map((line) => `${JSON.stringify(line)}\n`).join('')

/** One of the lines is damaged, or the text of all. */
export const batchInputs = {
  name: 'batch-inputs',
  share: 2,
  make(random) {
    if (random.chance(0.3))
      return utf8.encode(mutateText(random, textOf(lines), ['\n', '\r\n', '{}', '"custom_id":"a"', '\u2028', '1e999']))
    const place = random.below(lines.length)
    return utf8.encode(lines.map((line, i) => `${i === place ? mutateJsonText(random, line) : JSON.stringify(line)}\n`).join(''))
  },
  async use(bytes, folder) {
    const file = path.join(folder, 'in.jsonl')
    await fs.writeFile(file, bytes)
    const wrong = []
    await (await BatchInput.open(file, { onWrong: (line) => wrong.push(line) })).close()
    const input = await BatchInput.open(file)
    try {
      if (wrong.length > 0) throw new Error(`${wrong.length} lines are wrong, and the file is taken`)
      for (const index of input.order) {
        const request = await input.read(index)
        if ((await input.find(request.customId))?.index !== index) throw new Error(`request ${index} is another one by its id`)
      }
    } finally {
      await input.close()
    }
  },
}

const mark = { model: 'a'.repeat(64), numerics: '1 f16 4096' }
const input = utf8.encode(textOf(lines))
const body = { id: 'chatcmpl-1', object: 'chat.completion', created: 5, model: 'm', usage: { prompt_tokens: 3, completion_tokens: 2 } }

let results
/** The lines of results that the requests would have. */
async function resultsIn(folder) {
  const file = path.join(folder, 'whole.jsonl')
  await fs.writeFile(file, input)
  if (results) return results
  const requests = await BatchInput.open(file)
  try {
    const asked = []
    for (const index of requests.order) asked.push(keyedRequest(await requests.read(index), requests.id, mark, 'm'))
    const [first, second, third] = asked
    const answer = { status: 200, body, tokens: [[1, 2]], promptTokens: 3, newTokens: 2 }
    results = [
      resultLine(first, answer),
      resultLine(second, { ...answer, status: 400, body: { error: { message: 'x' } }, tokens: [] }),
      failureLine(third, { code: 'machine_failed', message: 'x' }),
    ].map((line) => JSON.parse(line))
    return results
  } finally {
    await requests.close()
  }
}

export const batchResults = {
  name: 'batch-results',
  share: 2,
  async make(random, folder) {
    const whole = await resultsIn(folder)
    if (random.chance(0.3)) return utf8.encode(mutateText(random, textOf(whole), ['\n', '{}', '"tokens":[[', '"status_code":', 'null']))
    const place = random.below(whole.length)
    return utf8.encode(whole.map((line, i) => `${i === place ? mutateJsonText(random, line) : JSON.stringify(line)}\n`).join(''))
  },
  async use(bytes, folder) {
    const [from, out] = ['from.jsonl', 'merged.jsonl'].map((name) => path.join(folder, name))
    await resultsIn(folder)
    await fs.writeFile(from, bytes)
    const { results, failed } = await mergeBatch(path.join(folder, 'whole.jsonl'), out, [from])
    if (results + failed !== lines.length) throw new Error(`${results} results and ${failed} errors of ${lines.length} requests`)
    const merged = await fs.readFile(out)
    for (const line of merged.toString().split('\n').slice(0, -1)) {
      if (!storedResult(utf8.encode(line))) throw new Error(`a line that is no result was merged: ${line.slice(0, 200)}`)
    }
  },
}

export const chunk = {
  ...{ batch: 'batch-1', ...mark, name: 'm' },
  requests: lines.map(({ custom_id: customId, url, body }, index) => ({ index, where: `in.jsonl:${index + 1}`, customId, url, body })),
}

/** Chunks of a queue, which all who reach its server can write. */
export const queueChunks = {
  name: 'queue-chunks',
  share: 20,
  make: (random) => utf8.encode(JSON.stringify(mutateJson(random, chunk)) ?? 'null'),
  async use(bytes) {
    const { requests, batch, name, ...own } = checkChunk('c1', JSON.parse(new TextDecoder().decode(bytes)))
    for (const request of requests) JSON.parse(failureLine(keyedRequest(request, batch, own, name), { code: 'x', message: 'y' }))
  },
}
