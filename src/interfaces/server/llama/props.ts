// GET /props and /slots: what llama-server tells of itself, its model and what runs. Neither paths of this machine nor
// prompts are told.

import { generationTable } from '../../../text/generate/generationTable.js'
import { ApiError } from '../apiError.js'
import { type ModelHost, modelInMemory } from '../models/modelHost.js'
import { packageVersion } from '../packageVersion.js'

/** Of the model that was used last, or that `asked` names. Throws an ApiError 503 for one that is not in memory. */
export function props(host: ModelHost, asked?: string): object {
  const { model, name, defaults } = modelInMemory(host, asked)
  const { tokenizer, contextLength, metadata, layers } = model
  const params = Object.entries(generationTable).flatMap(([own, { llama, default: value }]) => {
    const set = defaults[own as keyof typeof defaults] ?? value
    return llama === undefined || set === undefined ? [] : [[llama, set]]
  })
  const template = layers?.template ?? metadata.get('tokenizer.chat_template')
  return {
    default_generation_settings: { n_ctx: contextLength, params: Object.fromEntries(params) },
    total_slots: model.status().sequences,
    model_alias: name,
    model_path: name,
    modalities: { vision: false, audio: false },
    chat_template: typeof template === 'string' ? template : '',
    // where a template has none of it, the library adds it in its own way
    chat_template_caps: { supports_tools: true, supports_tool_calls: true, supports_parallel_tool_calls: true, supports_system_role: true },
    bos_token: tokenizer.token(tokenizer.bosId).piece,
    eos_token: tokenizer.token(tokenizer.eosId).piece,
    build_info: `mixtral-wasm ${packageVersion()}`,
  }
}

/**
 * A slot for each answer that is written at one time. Which of them works is not fixed here. Throws an ApiError 503
 * where all work, and `fail_on_no_slot` says that this is an error.
 */
export function slots(host: ModelHost, { model: asked, fail_on_no_slot: fails }: Readonly<Record<string, string>>): object[] {
  const { model } = modelInMemory(host, asked)
  const { sequences, running } = model.status()
  if (fails && fails !== '0' && running >= sequences) throw new ApiError(503, 'no slot is free')
  return Array.from({ length: sequences }, (_, id) => ({ id, n_ctx: model.contextLength, is_processing: id < running }))
}
