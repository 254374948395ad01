// `mixtral list`: the models on this machine, in whichever store.

import type { Command } from 'commander'
import { byteCount } from '../../base/amounts.js'
import { type ListedModel, listLocalModels } from '../../registry/stores/localModels.js'
import { OwnStore } from '../../registry/stores/ownStore.js'
import { storeFolders } from '../../registry/stores/storeFolders.js'
import { addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { columns, jsonLine, print, say } from './layout.js'

const stores: Readonly<Record<ListedModel['store'], string>> = {
  mixtral: 'mixtral',
  ollama: 'Ollama',
  huggingface: 'Hugging Face cache',
  file: 'file',
}

export function configureList(command: Command): void {
  addOutputFlags(command)
    .addHelpText(
      'after',
      wrapped(`
Lists all models that have a name: those that were pulled, and those in the stores of Ollama and huggingface_hub, which are used where they are. Not
all models of Ollama can run here; mixtral inspect NAME tells. An unfinished download is resumed by mixtral pull and deleted by mixtral rm.

Examples:
  mixtral list
  mixtral list --json`),
    )
    .action(list)
}

async function list({ json }: OutputFlags): Promise<void> {
  const models = (await listLocalModels()).map(({ name, bytes, store, path }) => ({ name, bytes, store, path }))
  const unfinished = await new OwnStore(storeFolders().own).unfinished()
  if (json) process.stdout.write(jsonLine({ models, unfinished }))
  else if (models.length + unfinished.length === 0) say('no models yet: mixtral pull NAME fetches one')
  else
    print(
      columns(
        [
          ...models.map(({ name, bytes, store }) => [name, byteCount(bytes), stores[store]]),
          ...unfinished.map(({ name, bytes, total }) => [name, byteCount(bytes), `of ${byteCount(total)}, unfinished`]),
        ],
        [1],
      ),
    )
}
