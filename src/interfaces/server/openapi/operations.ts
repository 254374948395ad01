// What each route is, for the document: a line, the schema of its body, the options that it takes, and what it answers
// with. A route that is not here stands in the document without a body. Owns the paths, too, that clients know from
// elsewhere and this server has not: they are refused by name, so that nobody looks for a mistake of theirs.

import type { z } from 'zod'
import { countFields, messageFields } from '../anthropic/messages.js'
import { nativeFields } from '../llama/completion.js'
import { detokenizeFields, tokenizeFields } from '../llama/tokens.js'
import { ollamaChatFields, ollamaTextFields } from '../ollama/chat.js'
import { embedFields, oldEmbedFields } from '../ollama/embed.js'
import { showFields } from '../ollama/models.js'
import { chatFields } from '../openai/chat.js'
import { completionFields } from '../openai/completions.js'
import { embeddingFields } from '../openai/embeddings.js'
import { responseFields } from '../responses/fields.js'
import type { Program } from './optionSchemas.js'

export interface Operation {
  readonly summary: string
  readonly body?: z.ZodType
  /** The type of the body, where it is no JSON. */
  readonly type?: string
  /** Whether a request may ask what all may that ask for an answer. Default true. */
  readonly isAnswer?: boolean
  /** Whose names options have, if there are options. */
  readonly options?: readonly Program[]
  /** The type of a stream, where one may be asked for. */
  readonly stream?: string
  /** Names of what may stand behind `?`: texts. */
  readonly query?: readonly string[]
  /** The type of an answer that is no JSON. */
  readonly answer?: string
}

const SSE = 'text/event-stream'
const NDJSON = 'application/x-ndjson'
const both: readonly Program[] = ['openai', 'llama']

const chat: Operation = { summary: "OpenAI's chats", body: chatFields, options: both, stream: SSE }
const native: Operation = { summary: "llama-server's own completions", body: nativeFields, options: both, stream: SSE }
const models: Operation = { summary: 'The models' }
const health: Operation = { summary: 'Whether the server takes requests; needs no key' }

/** By path, as the application spells it; behind its method, where a path has several. */
export const operations: Readonly<Record<string, Operation>> = {
  '/': { summary: 'What this is', answer: 'text/plain' },
  '/health': health,
  '/v1/health': health,
  '/openapi.json': { summary: 'This document' },
  '/v1/models': models,
  '/models': models,
  '/v1/models/:id{.+}': { summary: 'One model' },
  '/v1/chat/completions': chat,
  '/chat/completions': chat,
  '/v1/completions': { summary: "OpenAI's completions, and scores of prompts", body: completionFields, options: both, stream: SSE },
  '/v1/responses': { summary: "OpenAI's responses", body: responseFields, options: both, stream: SSE },
  '/v1/messages': { summary: "Anthropic's messages", body: messageFields, options: both, stream: SSE },
  '/v1/messages/count_tokens': { summary: 'The number of tokens of messages', body: countFields },
  '/v1/embeddings': { summary: "OpenAI's embeddings", body: embeddingFields },
  '/completion': native,
  '/completions': native,
  '/tokenize': { summary: 'The tokens of a text', body: tokenizeFields },
  '/detokenize': { summary: 'The text of tokens', body: detokenizeFields },
  '/apply-template': { summary: 'The prompt of a chat', body: chatFields },
  '/v1/routed-experts/stats': { summary: 'How often each expert was used since the model was loaded', query: ['model'] },
  '/props': { summary: "llama-server's settings", query: ['model'] },
  '/slots': { summary: 'What works now', query: ['model', 'fail_on_no_slot'] },
  '/lora-adapters': { summary: 'The adapters of the model', query: ['model'] },
  '/metrics': { summary: 'Counters and gauges for Prometheus', answer: 'text/plain' },
  '/ping': health,
  '/version': { summary: 'The version of this server' },
  '/load': { summary: 'The number of requests that run or wait' },
  '/api/version': { summary: "The version of Ollama's API" },
  '/api/tags': { summary: "Ollama's list of models" },
  '/api/ps': { summary: "Ollama's list of models in memory" },
  '/api/show': { summary: "Ollama's description of a model", body: showFields },
  '/api/chat': { summary: "Ollama's chats", body: ollamaChatFields, options: ['ollama'], stream: NDJSON },
  '/api/generate': { summary: "Ollama's texts", body: ollamaTextFields, options: ['ollama'], stream: NDJSON },
  '/api/pull': { summary: 'Gets a model, where clients may', stream: NDJSON },
  '/api/copy': { summary: 'Gives a model another name, where clients may' },
  '/api/delete': { summary: 'Deletes a model, where clients may' },
  '/api/embed': { summary: "Ollama's embeddings", body: embedFields },
  '/api/embeddings': { summary: "Ollama's embedding of one text", body: oldEmbedFields },
}

/** Paths of OpenAI, Anthropic, vLLM, llama-server and Ollama. With `/*`, all below. */
export const UNSUPPORTED: readonly string[] = [
  ...['/v1/responses/:id', '/v1/responses/:id/*', '/v1/conversations/*', '/v1/chat/completions/:id', '/v1/messages/batches/*'],
  ...['/v1/moderations', '/v1/images/*', '/v1/audio/*', '/v1/videos/*', '/v1/uploads/*'],
  ...['/v1/fine_tuning/*', '/v1/assistants/*', '/v1/threads/*', '/v1/vector_stores/*', '/v1/realtime/*'],
  ...['/v1/rerank', '/v1/reranking', '/v1/score', '/rerank', '/reranking', '/score', '/pooling', '/classify', '/tokenizer_info'],
  ...['/infill', '/embedding', '/embeddings', '/slots/:id', '/props', '/models/load', '/models/unload'],
  ...['/api/push', '/api/create', '/api/blobs/:digest'],
]

/** A path for a message: never what a client has made up. */
export function shownPath(path: string): string {
  return path.replace(/(?!^)\/\*$/, '').replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')
}
