// `mixtral rm`: deletes a model from our store. It never deletes models of other programs.

import type { Command } from 'commander'
import { byteCount } from '../../base/amounts.js'
import { MixtralError, quoted } from '../../base/errors.js'
import { didYouMean } from '../../base/nearNames.js'
import { modelNameText, type RemoteName } from '../../registry/names/modelName.js'
import { findLocalModel, readModelName } from '../../registry/stores/localModels.js'
import { OwnStore } from '../../registry/stores/ownStore.js'
import { storeFolders } from '../../registry/stores/storeFolders.js'
import { livePull } from '../../registry/stores/storeLock.js'
import { addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { jsonLine, print, textFor } from './layout.js'

export function configureRm(command: Command): void {
  addOutputFlags(command.argument('<name>', 'the name of the model, as mixtral list shows it'))
    .addHelpText(
      'after',
      wrapped(`
Deletes what mixtral pull has downloaded, complete or not, except files that another model shares. Models in the stores of Ollama and huggingface_hub,
and files given by their path, are not touched.

Examples:
  mixtral rm mixtral:8x7b
  mixtral rm hf:owner/repo/mixtral.Q4_K_M.gguf`),
    )
    .action(rm)
}

async function rm(text: string, { json }: OutputFlags): Promise<void> {
  if (text === 'demo') throw new MixtralError('IO', 'demo comes with this package and is not deleted by itself')
  const own = new OwnStore(storeFolders().own)
  const parsed = readModelName(text)
  const name = modelNameText(parsed)
  const isUnfinished = (await own.unfinished()).some((model) => model.name === name)
  const model = isUnfinished ? undefined : await findLocalModel(parsed)
  if (!isUnfinished && !model) {
    const here = [...(await own.list()).map((other) => modelNameText(other.name)), ...(await own.unfinished()).map((other) => other.name)]
    throw new MixtralError(
      'IO',
      `no model ${quoted(name)} on this machine${didYouMean(name, here) || ', mixtral list shows which there are'}`,
    )
  }
  if (model?.store === 'ollama') throw new MixtralError('IO', `${name} belongs to Ollama (${model.path}): ollama rm ${name} deletes it`)
  if (model && model.store !== 'mixtral')
    throw new MixtralError('IO', `${name} is not in the store of this program, but at ${model.path}: delete it there`)
  const pulling = await livePull(own.root)
  if (pulling !== undefined) throw new MixtralError('IO', `process ${pulling} is pulling a model: delete when it has ended`)
  const bytes = await own.remove(parsed as RemoteName)
  if (json) process.stdout.write(jsonLine({ name, freed_bytes: bytes }))
  else print(textFor(process.stdout, `${name}: ${byteCount(bytes)} freed\n`))
}
