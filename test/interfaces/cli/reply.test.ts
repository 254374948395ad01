import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { reply } from '../../../dist/interfaces/cli/reply.js'
import { ToolModule } from '../../../dist/interfaces/cli/toolModule.js'
import type { ChatMessage } from '../../../dist/text/chat/chatMessages.js'
import type { ChatOptions } from '../../../dist/text/generate/generationOptions.js'
import type { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'

const shown: string[] = []
beforeEach(() => {
  shown.length = 0
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => Boolean(shown.push(String(text))))
})
afterEach(() => vi.restoreAllMocks())

/** A model that calls whenever it may, and otherwise says how often it has called. */
function caller(mayCall: (options: ChatOptions) => boolean): MixtralModel {
  async function* streamChat(messages: readonly ChatMessage[], options: ChatOptions) {
    const calls = messages.filter(({ role }) => role === 'tool').length
    if (!mayCall(options)) {
      yield { text: `called ${calls} times`, ids: [7] }
      return { finishReason: 'stop', toolCalls: [], folded: false }
    }
    const called = { name: 'broken', arguments: '{}' }
    return { finishReason: 'tool_calls', toolCalls: [{ id: `call${calls}`, type: 'function', function: called }], folded: false }
  }
  return { streamChat } as unknown as MixtralModel
}

const question: ChatMessage = { role: 'user', content: 'Hi' }
const options = async (toolChoice?: string) => ({
  generation: {},
  interactive: false,
  tools: await ToolModule.load('test/interfaces/cli/modules/tools.mjs'),
  toolChoice,
})

test('a model that calls without end is asked for a text after eight answers', async () => {
  const added = await reply(
    caller(({ toolChoice }) => toolChoice !== 'none'),
    [question],
    await options(),
  )
  expect(added!.filter(({ role }) => role === 'tool').map(({ content }) => content)).toEqual(
    Array.from({ length: 8 }, () => '{"error":"no luck"}'),
  )
  expect(added!.at(-1)).toEqual({ role: 'assistant', content: 'called 8 times' })
  expect(shown.join('')).toBe('broken({})\n= {"error":"no luck"}\n'.repeat(8))
})

test('a call that is asked for is asked for once', async () => {
  const added = await reply(
    caller(({ toolChoice }) => toolChoice === 'required'),
    [question],
    await options('required'),
  )
  expect(added!.map(({ role }) => role)).toEqual(['assistant', 'tool', 'assistant'])
})

test('a model that may not call is not asked twice', async () => {
  const added = await reply(
    caller(({ toolChoice }) => toolChoice !== 'none'),
    [question],
    await options('none'),
  )
  expect(added).toEqual([{ role: 'assistant', content: 'called 0 times' }])
})
