// What `mixtral-wasm/ai` exports: a provider for the AI SDK, apart from the library's own barrel, so that importing the
// library asks for none of its types.

export type { MixtralChatOptions } from './interfaces/frameworks/ai/callOptions.js'
export type { MixtralEmbeddingOptions } from './interfaces/frameworks/ai/embeddingModel.js'
export { createMixtral, type MixtralProvider } from './interfaces/frameworks/ai/provider.js'
