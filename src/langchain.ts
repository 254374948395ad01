// What `mixtral-wasm/langchain` exports: a chat model and embeddings for LangChain, apart from the library's own
// barrel, so that importing the library loads nothing of LangChain.

export type { ChatMixtralCallOptions, MixtralAnswerOptions } from './interfaces/frameworks/langchain/callOptions.js'
export {
  ChatMixtral,
  type ChatMixtralFields,
  type StructuredObject,
  type StructuredSchema,
} from './interfaces/frameworks/langchain/chatMixtral.js'
export { MixtralEmbeddings, type MixtralEmbeddingsFields } from './interfaces/frameworks/langchain/embeddings.js'
