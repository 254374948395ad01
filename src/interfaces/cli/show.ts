// `mixtral show`: what comes with a model beside its weights: template, parameters, system message, licence. For a model that is not on this
// machine it asks the source, without the weights.

import type { Command } from 'commander'
import { byteCount } from '../../base/amounts.js'
import type { OllamaLayers } from '../../registry/stores/ollamaLayers.js'
import { modelDefaults } from '../../text/generate/modelDefaults.js'
import { addOutputFlags, type OutputFlags } from './flags.js'
import { colorsOf, columns, jsonLine, plainLines } from './layout.js'
import { lookAt, type Sight } from './looking.js'

export function configureShow(command: Command): void {
  addOutputFlags(command.argument('<name>', 'any name of a model, or a path'))
    .addHelpText(
      'after',
      `
Examples:
  mixtral show mixtral:8x7b
  mixtral show demo --json`,
    )
    .action(show)
}

async function show(text: string, { json }: OutputFlags): Promise<void> {
  const sight = await lookAt(text)
  const layers = sight.layers ?? layersOf(sight)
  process.stdout.write(json ? jsonLine(jsonShow(sight, layers)) : describe(sight, layers))
}

/** What the file itself says, where no Ollama layers do. */
function layersOf({ gguf }: Sight): OllamaLayers {
  const text = (key: string) => {
    const value = gguf.metadata.get(key)
    return typeof value === 'string' ? value : undefined
  }
  const template = text('tokenizer.chat_template')
  const license = text('general.license')
  return { ...(template !== undefined && { template }), params: {}, messages: [], licenses: license === undefined ? [] : [license] }
}

function describe({ name, bytes, path }: Sight, { template, params, system, messages, licenses }: OllamaLayers): string {
  const { bold } = colorsOf(process.stdout)
  const section = (title: string, body: string) => `\n${bold(title)}\n${plainLines(body).replaceAll(/^(?=.)/gm, '  ')}\n`
  const { unused } = modelDefaults({ params, messages, licenses })
  const rows = Object.entries(params).map(([key, value]) => [key, JSON.stringify(value), unused.includes(key) ? 'not used here' : ''])
  return [
    `${name}: ${byteCount(bytes)}, ${path ?? 'not on this machine'}\n`,
    template === undefined ? '' : section('template', template),
    rows.length === 0 ? '' : section('parameters', columns(rows).trimEnd()),
    system === undefined ? '' : section('system', system),
    messages.length === 0 ? '' : section('messages', messages.map(({ role, content }) => `${role}: ${content}`).join('\n')),
    ...licenses.map((license) => section('license', license)),
  ].join('')
}

function jsonShow({ name, bytes, path, store }: Sight, { template, params, system, messages, licenses }: OllamaLayers) {
  return { name, bytes, path, store, template, parameters: params, system, messages, licenses }
}
