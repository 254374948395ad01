// The registries as the library offers them: names that belong to one, pulled. How is pull.ts and what it uses, loaded when a pull begins.

import { MixtralError } from '../base/errors.js'
import { parseModelName, type RemoteName } from './names/modelName.js'
import type { PullOptions } from './pull.js'

export const HuggingFace = {
  /**
   * Downloads a model, or what is missing of it, into our store; one in the cache of huggingface_hub is used where it is.
   * Returns the path of the GGUF, or of its first shard. Throws `IO` and `ABORTED`.
   * @param name `hf:owner/repo/file.gguf` or `hf:owner/repo:Q4_K_M`; `hf:` may be left out
   * @example const path = await HuggingFace.pull('TheBloke/Mixtral-8x7B-Instruct-v0.1-GGUF:Q4_K_M')
   */
  async pull(name: string, options: PullOptions = {}): Promise<string> {
    const parsed = parseModelName(/^(hf:|https:)/.test(name) ? name : `hf:${name}`)
    if (parsed.kind !== 'huggingface') throw new MixtralError('IO', `${JSON.stringify(name)} is no name of a Hugging Face model`)
    return download(parsed, options)
  },
}

export const OllamaRegistry = {
  /**
   * Downloads a model, or what is missing of it, into our store; one in Ollama's own store on this machine is used where it is.
   * Returns the path of the GGUF. Throws `IO` for a bad name, a model that does not exist, a network or disk that fails; `UNSUPPORTED` for
   * layers that cannot be used; `ABORTED`.
   * @example const path = await OllamaRegistry.pull('mixtral:8x7b', { onProgress: ({ loaded, total }) => console.log(loaded / total) })
   */
  async pull(name: string, options: PullOptions = {}): Promise<string> {
    const parsed = parseModelName(name)
    if (parsed.kind !== 'ollama')
      throw new MixtralError('IO', `${JSON.stringify(name)} is no name of an Ollama model, expected [host/][namespace/]model[:tag]`)
    return download(parsed, options)
  },
}

async function download(name: RemoteName, options: PullOptions): Promise<string> {
  const { pullModel } = await import('./pull.js')
  return (await pullModel(name, options)).path
}
