// Finds a model or an adapter for a command: its header or itself, downloaded if it is not on this machine. Says how
// large it is and how it would be loaded before a byte of weights is downloaded, and shows the progress. Does not know
// what the command does with it.

import { byteCount } from '../../base/amounts.js'
import { MixtralError } from '../../base/errors.js'
import { adapterName, modelNameText, parseModelName } from '../../registry/names/modelName.js'
import { type ModelHeader, obtainModel, type RemotePeft, readModelHeader } from '../../registry/obtain.js'
import { findLocalModel, type LocalModel } from '../../registry/stores/localModels.js'
import { OwnStore } from '../../registry/stores/ownStore.js'
import { storeFolders } from '../../registry/stores/storeFolders.js'
import { type AdapterChoice, checkAdapterHeader, checkAdapters, isFolder } from '../../runtime/adapters/adapterSet.js'
import { isGgufAdapter, readAdapterHeader } from '../../runtime/adapters/ggufAdapter.js'
import { PeftConfig } from '../../runtime/adapters/peftConfig.js'
import type { EngineOptions } from '../../runtime/engine/engineOptions.js'
import { compileKernels } from '../../runtime/kernels/compile.js'
import { adapterMemory } from '../inspect/adapterFacts.js'
import { fitText } from '../inspect/fit.js'
import { factsOf } from '../inspect/modelFacts.js'
import { checkAdapterName } from './adapters.js'
import { onInterrupt } from './interrupt.js'
import { say } from './layout.js'
import { ProgressLine } from './progressLine.js'

export interface BringOptions {
  /**
   * What the model is for, which decides what is refused before a download. `loading`: a model that cannot be loaded on
   * this machine. `reading`: a model that no machine can run. `adapting`: what is no LoRA adapter. `keeping`: nothing,
   * and a model in our store is updated.
   */
  readonly purpose: 'loading' | 'reading' | 'adapting' | 'keeping'
  /** How it is to be loaded, and bytes of memory of adapters that are loaded with it. */
  readonly load?: EngineOptions
  readonly adapterBytes?: number
  /** Whether to write nothing but errors to stderr. */
  readonly quiet: boolean
  /** Called if nobody can tell whether what was downloaded is the right file. */
  readonly onUnverified?: () => void
}

/**
 * Downloads a model unless it is on this machine. Throws what the registry throws, `MODEL`, `MEMORY`, and `ABORTED`
 * after Ctrl-C.
 */
export async function bringModel(
  text: string,
  { purpose, load = {}, adapterBytes = 0, quiet, onUnverified }: BringOptions,
): Promise<LocalModel> {
  const tell = (line: string) => void (quiet || say(line))
  const bar = new ProgressLine('downloading', { unit: 'bytes', quiet })
  const interrupt = onInterrupt()
  let downloading = false
  let shown = text
  try {
    shown = shownName(text)
    return await obtainModel(text, {
      update: purpose === 'keeping',
      signal: interrupt.signal,
      beforePull: async (header) => tell(await verdictOn(header, purpose, load, adapterBytes)),
      ...((purpose === 'adapting' || purpose === 'keeping') && {
        beforeAdapter: async (adapter) => tell(await verdictOnPeft(adapter, purpose)),
      }),
      onProgress: ({ loaded, total }) => {
        downloading = true
        bar.update(loaded, total)
      },
      onWait: (pid) => tell(`process ${pid} is downloading it, waiting`),
      onUnverified: () => {
        tell(`${shown}: unverified, since its source names no hash`)
        onUnverified?.()
      },
    })
  } catch (error) {
    bar.clear()
    const stopped = error instanceof MixtralError && error.code === 'ABORTED'
    const again = hasQuery(text) ? 'the same address' : text
    if (stopped && downloading && !(await isKept(text))) tell('stopped: nothing is kept, since the server tells no version of the file')
    else if (stopped && downloading)
      tell(`stopped: \`mixtral pull ${again}\` resumes, \`mixtral rm ${shown}\` deletes the partial download`)
    throw error
  } finally {
    bar.clear()
    interrupt.release()
  }
}

/**
 * The same adapters, names replaced by the paths of files on this machine, downloaded if they are not here. Throws what
 * `bringModel` throws, and what is wrong with an adapter whatever its model is: before hours are spent on the model.
 */
export async function bringAdapters(choices: readonly AdapterChoice[] = [], quiet = false): Promise<AdapterChoice[]> {
  checkAdapters(choices)
  const list: AdapterChoice[] = []
  for (const choice of choices) {
    const isHere = await isFolder(choice.path)
    if (!isHere) await checkAdapterName(choice.path)
    const path = isHere ? choice.path : (await bringModel(adapterName(choice.path), { purpose: 'adapting', quiet })).path
    await checkAdapterHeader(path)
    list.push({ ...choice, path })
  }
  return list
}

/** Says where a model is not here: a command that looks at its header first is silent until that is found. */
export async function sayIfAbsent(text: string): Promise<void> {
  if (!(await findLocalModel(text))) say(`${shownName(text)} is not on this machine: looking for it at its source`)
}

const hasQuery = (text: string) => /^https?:\/\/[^?]*\?/.test(text)

/** A query may be a secret. */
function shownName(text: string): string {
  return hasQuery(text) ? modelNameText(parseModelName(text)) : text
}

/** Whether a download of this name can be resumed. */
async function isKept(text: string): Promise<boolean> {
  const name = modelNameText(parseModelName(text))
  return (await new OwnStore(storeFolders().own).unfinished()).some((model) => model.name === name)
}

/**
 * What is known of a model before it is downloaded, in one line. Throws where the model is of no use for the purpose.
 */
async function verdictOn(
  { name, gguf, bytes, layers, adapters }: ModelHeader,
  purpose: BringOptions['purpose'],
  load: EngineOptions,
  adapterBytes: number,
): Promise<string> {
  if (purpose === 'adapting' || (purpose === 'keeping' && isGgufAdapter(gguf))) {
    return adapterVerdict({ name, bytes }, purpose, () => readAdapterHeader(gguf))
  }
  for (const adapter of purpose === 'keeping' ? [] : adapters) readAdapterHeader(adapter)
  const { build } = await compileKernels()
  const { fit, refusal } = factsOf(gguf, { build, layers, adapterBytes: adapterBytes + adapterMemory(adapters), options: load })
  if (!fit && purpose !== 'keeping') throw new MixtralError('MODEL', refusal!)
  const verdict = fit ? fitText(fit, load.ram === undefined ? undefined : 'of --ram') : `cannot run here: ${refusal}`
  if (fit?.verdict === 'refused' && purpose === 'loading') throw new MixtralError('MEMORY', `${name} ${verdict}`)
  return `${name}: ${byteCount(bytes)} to download; it ${verdict}`
}

/** The same of a PEFT adapter, by its configuration: its weights are many times as large. */
async function verdictOnPeft(adapter: RemotePeft, purpose: BringOptions['purpose']): Promise<string> {
  const config = await adapter.readConfig()
  return adapterVerdict(adapter, purpose, () => PeftConfig.parse(config, adapter.name))
}

/** What is known of an adapter. Throws what `check` throws, unless the adapter is only to be kept. */
function adapterVerdict({ name, bytes }: Pick<ModelHeader, 'name' | 'bytes'>, purpose: BringOptions['purpose'], check: () => void): string {
  const line = `${name}: ${byteCount(bytes)} to download; a LoRA adapter`
  try {
    check()
    return line
  } catch (error) {
    if (purpose !== 'keeping' || !(error instanceof MixtralError)) throw error
    return `${line}, which cannot be applied here: ${error.message}`
  }
}

/**
 * The header of a model of any name, without its weights. Throws what the registry and the GGUF reader throw, and
 * `ABORTED` after Ctrl-C.
 */
export async function lookAt(text: string): Promise<ModelHeader> {
  const interrupt = onInterrupt()
  try {
    return await readModelHeader(text, interrupt.signal)
  } finally {
    interrupt.release()
  }
}
