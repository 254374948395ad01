// What clients know from elsewhere, and this server has not: it is refused by its name, so that nobody looks for a
// mistake of theirs.

/** Paths of OpenAI, Anthropic, vLLM, llama-server and Ollama. With `/*`, all below. */
export const UNSUPPORTED: readonly string[] = [
  ...['/v1/responses/:id', '/v1/responses/:id/*', '/v1/conversations/*', '/v1/chat/completions/:id', '/v1/messages/batches/*'],
  ...['/v1/moderations', '/v1/images/*', '/v1/audio/*', '/v1/videos/*', '/v1/files/*', '/v1/uploads/*', '/v1/batches/*'],
  ...['/v1/fine_tuning/*', '/v1/assistants/*', '/v1/threads/*', '/v1/vector_stores/*', '/v1/realtime/*'],
  ...['/v1/rerank', '/v1/reranking', '/v1/score', '/rerank', '/reranking', '/score', '/pooling', '/classify', '/tokenizer_info'],
  ...['/infill', '/embedding', '/embeddings', '/lora-adapters', '/slots/:id', '/props', '/models/load', '/models/unload'],
  ...['/api/push', '/api/create', '/api/blobs/:digest'],
]

/** A path for a message: never what a client has made up. */
export function shownPath(path: string): string {
  return path.replace(/(?!^)\/\*$/, '').replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')
}
