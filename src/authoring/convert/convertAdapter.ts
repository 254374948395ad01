// From the folder of a PEFT adapter to a GGUF adapter. Owns the options and the order: all is read and checked before a
// byte is written. What becomes of it is adapterPlan.ts.

import path from 'node:path'
import { checkKind, checkText, MixtralError, shown } from '../../base/errors.js'
import { refuseInput } from '../../base/files/draftFile.js'
import { fileBytes } from '../../base/files/optionalFiles.js'
import { checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import { type ElementType, elementTypes } from './elementType.js'

export interface ConvertAdapterOptions {
  /**
   * The model that the adapter belongs to: the path of a GGUF file, or of a checkpoint's folder, of which the
   * configuration is enough. Default: the published Mixtral that adapter_config.json names.
   */
  readonly base?: string
  /** Type of the factors. Default: their type in the folder. */
  readonly type?: ElementType
  readonly signal?: AbortSignal
  /** Called with the bytes of factors that are written. */
  readonly onProgress?: (progress: Progress) => void
}

export interface ConvertAdapterResult {
  /** `adapter.lora.alpha` of the file. */
  readonly alpha: number
  /** Number of tensors written, two for each matrix, or for those of all experts of a layer. */
  readonly tensors: number
  /** Number of weights in them. */
  readonly weights: number
  /** What may surprise, a line each. */
  readonly notes: readonly string[]
}

/**
 * Converts a LoRA adapter in a folder as PEFT writes it to a GGUF adapter as llama.cpp has them.
 * @param folder with adapter_config.json and adapter_model.safetensors
 * @param target the file to write; it gets its name when all of it is on disk
 *
 * Throws `CHECKPOINT` for a malformed or incomplete folder; `UNSUPPORTED`, by name, for another kind of adapter;
 * `MODEL` for one to another model than `base`; `GGUF` for a damaged `base`; `OPTION` for an impossible option, a model
 * that nothing is known of, a target that is a file of the folder, and a number that does not fit the type; `IO`;
 * `ABORTED`.
 * @example await convertAdapter('my-lora', 'my-lora.gguf', { base: 'mixtral-Q4_K_M.gguf' })
 */
export async function convertAdapter(folder: string, target: string, given: ConvertAdapterOptions = {}): Promise<ConvertAdapterResult> {
  const { base: baseModel, type, onProgress, signal } = checkCallOptions(given, ['base', 'type'])
  checkText('the folder', folder)
  checkText('the target', target)
  if (baseModel !== undefined) checkKind('base', baseModel, typeof baseModel === 'string', 'the path of a model')
  if (type !== undefined && !elementTypes.includes(type)) {
    throw new MixtralError('OPTION', `type is ${shown(type)}, expected one of ${elementTypes.join(', ')}`)
  }
  const [{ PeftConfig }, { loadPeftAdapter }, { readAdapterBase }, { planAdapter }, { writeGguf }] = await Promise.all([
    import('../../runtime/adapters/peftConfig.js'),
    import('../../runtime/adapters/peftAdapter.js'),
    import('./adapterBase.js'),
    import('./adapterPlan.js'),
    import('../../format/gguf/writer.js'),
  ])
  const { baseModel: baseName } = await PeftConfig.read(folder)
  const base = await readAdapterBase(baseModel, baseName)
  const adapter = await loadPeftAdapter(folder, base, { signal })
  await refuseInput(target, adapter.files)
  const { alpha, metadata, tensors, weights, notes } = planAdapter(adapter, base, type, baseName)
  const report = onProgress && {
    onProgress: ({ written, total }: { readonly written: number; readonly total: number }) => onProgress({ loaded: written, total }),
  }
  await writeGguf(target, { metadata, tensors }, { ...(signal && { signal }), ...report })
  return { alpha, tensors: tensors.length, weights, notes }
}

/** Whether a folder has an adapter, and no model. */
export async function isAdapterFolder(folder: string): Promise<boolean> {
  const has = async (file: string) => (await fileBytes(path.join(folder, file))) !== undefined
  if (!(await has('adapter_config.json'))) return false
  const models = ['model.safetensors', 'model.safetensors.index.json', 'consolidated.safetensors']
  return !(await Promise.all(models.map(has))).includes(true)
}
