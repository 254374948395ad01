// The types of the package as its users get them: a strict project without the DOM's types, which checks libraries too,
// compiles what the README and the pages show; and what a careful compiler refuses stays refused.

import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))

const program = `
import { type ChatMessage, type ChatSession, type LoadOptions, MixtralError, MixtralModel, type TokenIds, type ToolDefinition } from 'mixtral-wasm'
import { createApp, serve } from 'mixtral-wasm/server'

const options: LoadOptions = { threads: 2 }
const model: MixtralModel = await MixtralModel.load('demo', options)
const message = { role: 'user', content: 'Who are you?' }
const messages: ChatMessage[] = [message]
const stream = model.streamChat(messages)
for await (const { text } of stream) process.stdout.write(text)
const { finishReason, toolCalls } = await stream.result
const ids: TokenIds = Int32Array.from(model.tokenizer.encodePrompt('Once'))
for (const { layers } of await model.routing(ids)) console.log(layers[0]?.experts[0])
const [experts] = await model.trace(ids, { tensors: ['ffn_moe_topk-*'] })
const whole: Int32Array | undefined = experts?.values
const [hidden] = await model.trace(ids, { tensors: ['l_out-3', 'ffn_moe_weights-1'] })
const floats: Float32Array | undefined = hidden?.values
const chat = model.chatSession({ system: 'Be brief.', forget: (all, { room }) => all.slice(-room) })
try {
  const { forgotten } = await chat.send('Hi')
  await chat.save('hi.session')
  const restored: ChatSession = await model.restoreChat('hi.session', { options: { temperature: 0 } })
  const tools: ToolDefinition[] = [{ type: 'function', function: { name: 'weather' } }]
  await restored.send('And now?', { tools })
  console.log(forgotten, finishReason, toolCalls.length, whole, floats, model.countTokens(messages), serve, createApp)
} catch (error) {
  if (error instanceof MixtralError && error.code === 'CONTEXT') console.log(error.promptTokens, error.contextLength, error.partial?.text)
}
await model.close()
`

const withFrameworks = `
import { embedMany, generateText, streamText, ToolLoopAgent, tool } from 'ai'
import { HumanMessage } from '@langchain/core/messages'
import { type ChatMessage, MixtralModel } from 'mixtral-wasm'
import { createMixtral, type MixtralChatOptions, type MixtralProvider } from 'mixtral-wasm/ai'
import { ChatMixtral, type ChatMixtralCallOptions, MixtralEmbeddings } from 'mixtral-wasm/langchain'
import { z } from 'zod'

const model = await MixtralModel.load('demo')
const mixtral: MixtralProvider = createMixtral({ demo: model })
const options = { expertsPerToken: 1, bannedWords: ['was'] } satisfies MixtralChatOptions
const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => city })
const { text } = await generateText({ model: mixtral(), prompt: 'Hi', tools: { weather }, providerOptions: { mixtral: options } })
const agent = new ToolLoopAgent({ model: mixtral() })
const { embeddings } = await embedMany({ model: mixtral.embeddingModel(), values: ['a'] })
for await (const piece of streamText({ model: mixtral(), prompt: 'Hi' }).textStream) console.log(piece, text, agent, embeddings)

const chat = new ChatMixtral({ model, temperature: 0 })
const asked: Partial<ChatMixtralCallOptions> = { stop: ['x'], expertsPerToken: 1, tool_choice: 'any' }
const found: { city: string } = await chat.withStructuredOutput(z.object({ city: z.string() })).invoke([new HumanMessage('Hi')])
const { parsed } = await chat.withStructuredOutput<{ city: string }>({ type: 'object' }, { includeRaw: true }).invoke('Hi')
const vectors: number[][] = await new MixtralEmbeddings({ model }).embedDocuments(['a'])
const messages: ChatMessage[] = []
console.log((await chat.invoke('Hi', asked)).text, found.city, parsed.city, vectors, messages)
`

test.each([
  ['a strict project without the DOM compiles, libraries checked', program, ['@types/node'], 'false'],
  ['a project with frameworks compiles', withFrameworks, ['@types/node', '@ai-sdk', '@langchain', 'ai', 'zod'], 'true'],
])('%s', { timeout: 120_000 }, async (_, program, packages, skips) => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-types-'))
  try {
    mkdirSync(join(folder, 'node_modules/@types'), { recursive: true })
    for (const name of packages) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
    symlinkSync(root, join(folder, 'node_modules/mixtral-wasm'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'program.ts'), program)
    const flags = `--noEmit --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --skipLibCheck ${skips}`.split(' ')
    const target = '--target es2022 --lib es2022 --module nodenext --types node'.split(' ')
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const found = await new Promise((resolve) => {
      execFile(process.execPath, [tsc, ...flags, ...target, 'program.ts'], { cwd: folder }, (_, stdout) => resolve(stdout))
    })
    expect(found).toBe('')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
