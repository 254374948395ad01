import { expect, test } from 'vitest'
import { Conversation } from '../../../dist/interfaces/cli/conversation.js'
import { ChatTemplate } from '../../../dist/text/chat/chatTemplate.js'
import type { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { withModelMessages } from '../../../dist/text/generate/modelDefaults.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { mistralMetadata } from '../../text/tokenizer/vocabularies.js'

const none = undefined as unknown as MixtralModel
const question = { role: 'user', content: 'Hi' } as const
const layers = { system: 'Be kind.', params: {}, messages: [], licenses: [] }
const template = ChatTemplate.fromOllama(
  '{{ if .System }}{{ .System }} {{ end }}[INST] {{ .Prompt }} [/INST]',
  Tokenizer.fromGgufMetadata(mistralMetadata()),
)
const prompt = (conversation: Conversation) => template.render(withModelMessages(conversation.with(question), layers)).text

test("an empty system message leaves out the model's own, and none leaves it in", async () => {
  expect(prompt(new Conversation(none, undefined))).toBe('Be kind. [INST] Hi [/INST]')
  expect(prompt(new Conversation(none, 'Be brief.'))).toBe('Be brief. [INST] Hi [/INST]')
  expect(prompt(new Conversation(none, ''))).toBe('[INST] Hi [/INST]')
  const conversation = new Conversation(none, undefined)
  expect(await conversation.obey('/system', '')).toBe('no system message; forgot the conversation')
  expect(prompt(conversation)).toBe('[INST] Hi [/INST]')
})
