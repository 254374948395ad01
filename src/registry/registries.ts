// The registries as the library offers them: names that belong to one, pulled. The code that pulls is loaded by the
// first pull, so that importing the library stays cheap.

import { checkObject, checkText, MixtralError, quoted, unknownOption } from '../base/errors.js'
import { parseModelName, type RemoteName } from './names/modelName.js'
import type { PullOptions } from './pull.js'

export const HuggingFace = {
  /**
   * Downloads a model or an adapter, or what is missing of it, into our store; one in the cache of huggingface_hub is
   * used where it is. Returns the path of the GGUF, of its first shard, or of the `adapter_config.json` of a PEFT
   * adapter, which the option `adapters` takes. Throws `IO` for a bad name, a model that does not exist, a
   * network or disk that fails; `OPTION`; `ABORTED`.
   * @param name `hf:owner/repo/file.gguf`, `hf:owner/repo:Q4_K_M`, `hf:owner/repo/adapter_config.json`, or
   * `hf:owner/repo` where there is just one; `hf:` may be left out
   * @example const path = await HuggingFace.pull('TheBloke/Mixtral-8x7B-Instruct-v0.1-GGUF:Q4_K_M')
   */
  async pull(name: string, options: PullOptions = {}): Promise<string> {
    checkText('the name', name)
    const parsed = parseModelName(/^(hf:|https:)/.test(name) ? name : `hf:${name}`)
    if (parsed.kind === 'huggingface') return pull(parsed, options)
    throw new MixtralError('IO', `${quoted(name)} is no name of a Hugging Face model, expected owner/repo/file.gguf or owner/repo:Q4_K_M`)
  },
}

export const OllamaRegistry = {
  /**
   * Downloads a model, or what is missing of it, into our store; one in Ollama's own store on this machine is used
   * where it is. Returns the path of the GGUF. Throws `IO` for a bad name, a model that does not exist, a network or
   * disk that fails; `UNSUPPORTED` for layers that cannot be used; `OPTION`; `ABORTED`.
   * @example
   * const onProgress = ({ loaded, total }) => console.log(loaded / total)
   * const path = await OllamaRegistry.pull('mixtral:8x7b', { onProgress })
   */
  async pull(name: string, options: PullOptions = {}): Promise<string> {
    checkText('the name', name)
    const parsed = parseModelName(name)
    if (parsed.kind === 'ollama') return pull(parsed, options)
    throw new MixtralError('IO', `${quoted(name)} is no name of an Ollama model, expected [host/][namespace/]model[:tag]`)
  },
}

async function pull(name: RemoteName, asked: PullOptions): Promise<string> {
  checkObject(asked)
  const options = { ...asked }
  checkOptions(options)
  const { obtainModel } = await import('./obtain.js')
  return (await obtainModel(name, { ...options, update: true, beforeAdapter: () => {} })).path
}

/** Throws `OPTION` for an unknown option, or one of the wrong kind. */
function checkOptions(options: { readonly [Name in keyof PullOptions]: unknown }): void {
  const kinds = { onProgress: 'function', signal: 'object', onWait: 'function', onUnverified: 'function' } as const
  for (const [name, value] of Object.entries(options)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name as keyof typeof kinds] : undefined
    if (!kind) throw unknownOption(name, Object.keys(kinds))
    const wrong = value !== undefined && (kind === 'object' ? !(value instanceof AbortSignal) : typeof value !== kind)
    if (wrong) throw new MixtralError('OPTION', `${name} is not ${kind === 'object' ? 'an AbortSignal' : 'a function'}`)
  }
}
