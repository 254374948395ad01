// `mixtral show`: what comes with a model beside its weights: template, parameters, system message, license. Of a model
// that is not on this machine, it is read from the source, without the weights.

import type { Command } from 'commander'
import { byteCount } from '../../base/amounts.js'
import { plainLine, plainText } from '../../base/terminalText.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import type { ModelHeader } from '../../registry/obtain.js'
import type { OllamaLayers } from '../../registry/stores/ollamaLayers.js'
import { fileDefaults } from '../../text/generate/fileDefaults.js'
import { modelDefaults } from '../../text/generate/modelDefaults.js'
import { layerFacts } from '../inspect/adapterFacts.js'
import { lookAt } from './bringing.js'
import { ANY_MODEL, addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { colorsOf, columns, jsonLine, print } from './layout.js'

export function configureShow(command: Command): void {
  addOutputFlags(command.argument('<name>', ANY_MODEL))
    .addHelpText(
      'after',
      wrapped(`
Examples:
  mixtral show mixtral:8x7b
  mixtral show demo --json`),
    )
    .action(show)
}

async function show(text: string, { json }: OutputFlags): Promise<void> {
  const header = await lookAt(text)
  const layers = header.layers ?? layersOf(header)
  if (json) process.stdout.write(jsonLine(jsonShow(header, layers)))
  else print(describe(header, layers))
}

/** The same facts from the file itself, for a model without Ollama layers. */
function layersOf({ gguf }: ModelHeader): OllamaLayers {
  const text = (key: string) => {
    const value = gguf.metadata.get(key)
    return typeof value === 'string' ? value : undefined
  }
  const template = text('tokenizer.chat_template')
  const license = text('general.license')
  return { ...(template !== undefined && { template }), params: {}, messages: [], licenses: license === undefined ? [] : [license] }
}

function describe(
  { name, bytes, local, gguf, adapters }: ModelHeader,
  { template, params, system, messages, licenses }: OllamaLayers,
): string {
  const { bold } = colorsOf(process.stdout)
  const section = (title: string, body: string) => `\n${bold(title)}\n${plainText(body).replaceAll(/^(?=.)/gm, '  ')}\n`
  const { unused } = modelDefaults({ params, messages, licenses })
  const rows = Object.entries(params).map(([key, value]) => [key, JSON.stringify(value), unused.includes(key) ? 'not used here' : ''])
  const sampling = Object.entries(fileDefaults(gguf.metadata).options).map(([option, value]) => [option, JSON.stringify(value)])
  return [
    `${plainLine(`${name}: ${byteCount(bytes)}, ${local?.path ?? 'not on this machine'}`)}\n`,
    template === undefined ? '' : section('template', template),
    adapters.length === 0 ? '' : section('adapters', adapters.map(adapterLine).join('\n')),
    rows.length === 0 ? '' : section('parameters', columns(rows).trimEnd()),
    sampling.length === 0 ? '' : section('sampling, where a caller says nothing', columns(sampling).trimEnd()),
    system === undefined ? '' : section('system', system),
    messages.length === 0 ? '' : section('messages', messages.map(({ role, content }) => `${role}: ${content}`).join('\n')),
    ...licenses.map((license) => section('license', license)),
  ].join('')
}

/** `27.30 MB, rank 16 of attn_q, attn_v`. */
function adapterLine(gguf: Gguf): string {
  const { matrices, refusal } = layerFacts(gguf)
  const size = byteCount(gguf.files.reduce((sum, { bytes }) => sum + bytes, 0))
  if (refusal !== undefined) return `${size}, cannot be applied here: ${refusal}`
  const ranks = [...new Set(matrices.flatMap((one) => one.ranks))]
  return `${size}, rank ${ranks.join(', ')} of ${matrices.map((one) => one.name).join(', ')}`
}

function jsonShow({ name, bytes, local, gguf, adapters }: ModelHeader, { template, params, system, messages, licenses }: OllamaLayers) {
  return {
    name,
    bytes,
    path: local?.path,
    store: local?.store,
    template,
    ...(adapters.length > 0 && { adapters: adapters.map(layerFacts) }),
    parameters: params,
    sampling: fileDefaults(gguf.metadata).options,
    system,
    messages,
    licenses,
  }
}
