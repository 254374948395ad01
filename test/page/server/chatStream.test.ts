// What comes over the wire, however it is cut, and what of it goes wrong.

import { afterEach, expect, test, vi } from 'vitest'
import { type Chunk, streamChat } from '../../../page/server/chatStream.js'
import { BROKEN, Failure, GONE } from '../../../page/server/failure.js'

afterEach(() => void vi.unstubAllGlobals())

/** Answers the next requests with these pieces of bytes, and notes what was asked. */
function answerWith(pieces: readonly Uint8Array[], init: ResponseInit = {}, fails = false): Request[] {
  const asked: Request[] = []
  vi.stubGlobal('location', { href: 'http://server.example/below/' })
  vi.stubGlobal('fetch', async (...given: ConstructorParameters<typeof Request>) => {
    asked.push(new Request(...given))
    const left = [...pieces]
    const body = new ReadableStream({
      pull(controller) {
        const piece = left.shift()
        if (piece) controller.enqueue(piece)
        else if (fails) controller.error(new TypeError('network error'))
        else controller.close()
      },
    })
    return new Response(body, init)
  })
  return asked
}

const bytes = (text: string) => new TextEncoder().encode(text)
const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`
const piece = (content: string) => event({ choices: [{ index: 0, delta: { content } }] })
const whole = [
  event({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }),
  ':\n\n',
  event({
    choices: [{ index: 0, delta: { content: 'é😀' }, routed_experts: [[[3, 1]]], expert_weights: [[[0.75, 0.25]]], finish_reason: null }],
  }),
  event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null }),
  event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }),
  'data: [DONE]\n\n',
].join('')

async function read(signal = new AbortController().signal): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  for await (const chunk of streamChat({ messages: [{ role: 'user', content: 'a' }] }, signal)) if (chunk) chunks.push(chunk)
  return chunks
}

test.each([1, 2, 3, 7, 1000])('an answer is the same in pieces of %d bytes', async (size) => {
  const all = bytes(whole)
  answerWith(Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size)))
  const chunks = await read()
  expect(chunks.map(({ text }) => text)).toEqual(['', 'é😀', '', ''])
  expect(chunks[1]).toMatchObject({ experts: [[[3, 1]]], weights: [[[0.75, 0.25]]] })
  expect(chunks[2]!.finish).toBe('stop')
  expect(chunks[3]!.usage).toEqual({ prompt_tokens: 3, completion_tokens: 2 })
})

test('a request goes to the server that the page came from, below the path of the page', async () => {
  const asked = answerWith([bytes(whole)])
  await read()
  const [request] = asked
  expect(request!.url).toBe('http://server.example/below/v1/chat/completions')
  expect(request!.headers.get('content-type')).toBe('application/json')
  expect(request!.headers.get('authorization')).toBeNull()
  expect(await request!.json()).toMatchObject({ stream: true, stream_options: { include_usage: true }, return_routed_experts: true })
})

test.each([
  ['an end in the middle', [piece('a')], {}, false, BROKEN],
  ['a connection that breaks', [piece('a')], {}, true, BROKEN],
  [
    'an error in the stream',
    [piece('a'), event({ error: { message: 'shutting down' } })],
    {},
    false,
    'The server has ended the answer: shutting down.',
  ],
  ['what is no JSON', ['data: {"choices"\n\n'], {}, false, 'The server sent what is no JSON.'],
  ['a page of a proxy', ['<html>'], { status: 502 }, false, 'The server has failed: HTTP status 502.'],
  ["Ollama's shape of errors", ['{"error":"no"}'], { status: 400 }, false, 'The server refuses the request: no.'],
])('%s is a failure in words', async (_, pieces, init, fails, sentence) => {
  answerWith(pieces.map(bytes), init, fails)
  const failure = await read().catch((error) => error)
  expect(failure).toBeInstanceOf(Failure)
  expect(failure.message).toBe(sentence)
})

test('no answer at all is a failure with the status 0; an abort is none', async () => {
  vi.stubGlobal('location', { href: 'http://server.example/' })
  vi.stubGlobal('fetch', async () => {
    throw new TypeError('fetch failed')
  })
  expect(await read().catch((error) => [error.status, error.message])).toEqual([0, GONE])
  expect(await read(AbortSignal.abort()).catch((error) => error instanceof Failure)).toBe(false)
})
