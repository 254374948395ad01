// `mixtral inspect`: what a GGUF file says, what it needs, how it would be loaded here and how fast it would be. Reads
// headers only, of any GGUF, on this machine or not, adapters too. Prints, and owns the names of hyper-parameters,
// which are those that a reader of papers knows; the facts are those of interfaces/inspect/ and machine/speed.ts.

import { basename } from 'node:path'
import type { Command } from 'commander'
import { byteCount, weightCount } from '../../base/amounts.js'
import { plainLine, plainText, quotedText } from '../../base/terminalText.js'
import type { Gguf, GgufValue } from '../../format/gguf/gguf.js'
import { compileKernels } from '../../runtime/kernels/compile.js'
import { weightsPerSecond } from '../../runtime/machine/speed.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { type AdapterFacts, adapterFacts, adapterMemory, layerFacts } from '../inspect/adapterFacts.js'
import { fitText } from '../inspect/fit.js'
import { factsOf, type ModelFacts } from '../inspect/modelFacts.js'
import { adapterText } from './adapters.js'
import { lookAt } from './bringing.js'
import { ANY_MODEL, addModelFlags, addOutputFlags, loadOptions, type ModelFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { colorsOf, columns, jsonLine, print, speed } from './layout.js'

interface InspectFlags extends ModelFlags {
  readonly tensors?: boolean
}

export function configureInspect(command: Command): void {
  command.argument('[model]', ANY_MODEL, 'demo').option('--tensors', 'list all tensors')
  addOutputFlags(addModelFlags(command, 'to plan memory for'))
    .addHelpText(
      'after',
      wrapped(`
Reads only the header, through HTTP ranges if the model is not on this machine, so it is quick for any size and works for files that cannot
run here. Whether the model fits is decided as by "mixtral run": the same plan, the same memory. The speed is an estimate: how fast this machine's
cores get through weights, measured for a second, divided by the bytes that a token reads.

Examples:
  mixtral inspect
  mixtral inspect mixtral-8x7b.Q4_K_M.gguf --context 32768
  mixtral inspect mixtral:8x7b-instruct-v0.1-q4_K_M
  mixtral inspect hf:owner/repo:Q4_K_M --json
  mixtral inspect mixtral-8x22b-00001-of-00003.gguf --tensors --json`),
    )
    .action(inspect)
}

/** With fewer active bytes per token the weights stay in the caches, and the estimate would be wrong. */
const LEAST_ACTIVE_BYTES = 100e6

async function inspect(name: string, flags: InspectFlags): Promise<void> {
  const { tensors = false, json } = flags
  const { gguf, layers, adapters } = await lookAt(name)
  const { build } = await compileKernels()
  const facts = factsOf(gguf, { build, layers, adapterBytes: adapterMemory(adapters), options: loadOptions(flags) })
  const adapter = adapterFacts(gguf)
  const brought = adapters.map(layerFacts)
  const active = facts.needs?.activeBytesPerToken ?? 0
  const tokensPerSecond = active < LEAST_ACTIVE_BYTES ? undefined : (await weightsPerSecond()) / active
  if (json) process.stdout.write(jsonLine(jsonFacts(gguf, facts, { tokensPerSecond, tensors, adapter, brought })))
  else
    print(describe(gguf, facts, { tokensPerSecond, tensors, adapter, brought, source: flags.ram === undefined ? undefined : 'of --ram' }))
}

interface Facts {
  readonly tokensPerSecond: number | undefined
  readonly tensors: boolean
  readonly adapter: AdapterFacts | undefined
  /** The adapters that come with an Ollama model. */
  readonly brought: readonly AdapterFacts[]
}

interface Describing extends Facts {
  /** Where the memory comes from. */
  readonly source: string | undefined
}

function describe(gguf: Gguf, facts: ModelFacts, { tokensPerSecond, tensors: listTensors, adapter, brought, source }: Describing): string {
  const { bold } = colorsOf(process.stdout)
  const section = (title: string, body: string) => `\n${bold(title)}\n${plainText(body).replaceAll(/^(?=.)/gm, '  ')}`
  const files = gguf.files.length > 1 ? ` in ${gguf.files.length} shards` : ''
  const weights = weightCount(facts.tensorTypes.reduce((sum, type) => sum + type.weights, 0))
  const quantization = facts.quantization ? `${facts.quantization}, ` : ''
  const size = `${weights} weights in ${byteCount(facts.fileBytes)}${files}`
  const parts = [`${plainLine(basename(gguf.files[0]!.path))}: GGUF version ${gguf.version}, ${quantization}${size}\n`]
  parts.push(section('metadata', columns([...gguf.metadata].map(([key, value]) => [plainKey(key), shortValue(value)]))))
  if (facts.config) {
    parts.push(section('hyper-parameters', columns(hyperParameters(facts.config))))
  }
  const sampling = Object.entries(facts.sampling).map(([option, value]) => [option, JSON.stringify(value)])
  if (sampling.length > 0) parts.push(section('sampling, where a caller says nothing', columns(sampling)))
  const types = facts.tensorTypes.map(({ type, count, weights, bytes }) => [type, String(count), weightCount(weights), byteCount(bytes)])
  parts.push(section('tensors by type', columns([['type', 'tensors', 'weights', 'bytes'], ...types], [1, 2, 3])))
  if (listTensors) {
    const rows = [...gguf.tensors.values()].map(({ name, type, shape, bytes }) => [
      plainKey(name),
      type.name,
      shape.join(' x '),
      byteCount(bytes),
    ])
    parts.push(section('tensors', columns(rows, [3])))
  }
  if (facts.needs) {
    const { contextLength, weightBytes, kvBytes, scratchBytes, adapterBytes } = facts.needs
    const { memoryBytes, leastMemoryBytes, activeBytesPerToken } = facts.needs
    const rows = [
      ['weights in memory', byteCount(weightBytes)],
      ...(brought.length > 0 ? [['adapters', byteCount(adapterBytes)]] : []),
      [`KV cache for ${contextLength} tokens`, byteCount(kvBytes)],
      ['scratch memory', byteCount(scratchBytes)],
      ['together', byteCount(memoryBytes)],
      ...(leastMemoryBytes < memoryBytes ? [['with no layer expanded', byteCount(leastMemoryBytes)]] : []),
      ['read per token', byteCount(activeBytesPerToken)],
    ]
    parts.push(section('needs', columns(rows, [1])))
  }
  for (const [n, one] of brought.entries()) {
    const { title, body } = adapterText(one)
    parts.push(section(`adapter ${n + 1} ${title}`, body))
  }
  if (adapter) {
    const { title, body } = adapterText(adapter)
    parts.push(section(title, body))
  } else if (facts.fit) {
    const estimated = tokensPerSecond !== undefined && facts.fit.verdict === 'resident'
    const estimate = estimated ? `about ${speed(tokensPerSecond)} at best, on all cores\n` : ''
    parts.push(section('on this machine', `${fitText(facts.fit, source)}\n${estimate}`))
  } else parts.push(section('cannot run here', `${facts.refusal}\n`))
  if (facts.notes.length > 0) parts.push(section('notes', facts.notes.map((note) => `${note}\n`).join('')))
  return parts.join('')
}

function jsonFacts(
  gguf: Gguf,
  { fileBytes, quantization, config, tensorTypes, needs, fit, refusal, sampling, notes }: ModelFacts,
  { tokensPerSecond, tensors: listTensors, adapter, brought }: Facts,
) {
  return {
    files: gguf.files,
    file_bytes: fileBytes,
    version: gguf.version,
    quantization,
    metadata: Object.fromEntries(gguf.metadata),
    hyper_parameters: config && Object.fromEntries(Object.entries(config).map(([key, value]) => [snakeCase(key), value])),
    tensor_types: tensorTypes,
    ...(listTensors && {
      tensors: [...gguf.tensors.values()].map(({ name, type, shape, file, offset, bytes }) => ({
        name,
        type: type.name,
        shape,
        file,
        offset,
        bytes,
      })),
    }),
    ...(adapter && { adapter }),
    ...(brought.length > 0 && { adapters: brought }),
    needs: needs && Object.fromEntries(Object.entries(needs).map(([key, value]) => [snakeCase(key), value])),
    runs: refusal === undefined,
    fits: fit && fit.verdict === 'resident',
    experts_in_memory: fit?.slots,
    experts: fit?.experts,
    would_fit: fit?.would,
    budget_bytes: fit?.budgetBytes,
    estimated_tokens_per_second: tokensPerSecond,
    refusal,
    sampling: Object.fromEntries(Object.entries(sampling).map(([option, value]) => [snakeCase(option), value])),
    notes,
  }
}

/** A value on one line, of a long list only the first items. */
function shortValue(value: GgufValue): string {
  if (typeof value === 'string') return quotedText(value)
  if (!Array.isArray(value)) return typeof value === 'number' ? shortNumber(value) : String(value)
  const first = value
    .slice(0, 4)
    .map((item) => (typeof item === 'string' ? quotedText(item, 20) : Array.isArray(item) ? '[...]' : shortValue(item)))
  return `[${first.join(', ')}${value.length > 4 ? `, ... ${value.length} in all` : ''}]`
}

/** A number that was a float32, without the digits that float64 adds. */
function shortNumber(value: number): string {
  return String(Math.fround(value) === value && !Number.isInteger(value) ? Number(value.toPrecision(7)) : value)
}

/** A key or the name of a tensor: quoted unless it is plain, as in any well-meant file. */
function plainKey(key: string): string {
  return /^[\w.-]{1,80}$/.test(key) ? key : quotedText(key)
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** Rows of a name and a value. */
function hyperParameters(config: MixtralConfig): [name: string, value: string][] {
  const float = (value: number) => String(Number(value.toPrecision(7))) // without the digits that float64 adds
  const rows: [string, string | number | undefined][] = [
    ['layers', config.layers],
    ['experts per token', `${config.expertsPerToken} of ${config.experts}`],
    ['width', config.hiddenSize],
    ['width in an expert', config.intermediateSize],
    ['attention heads', config.heads],
    ['key and value heads', config.kvHeads],
    ['width of a head', config.headDim],
    ['vocabulary', `${config.vocabSize} tokens`],
    ['context in training', `${config.maxPositions} tokens`],
    ['sliding window', config.slidingWindow === undefined ? undefined : `${config.slidingWindow} tokens`],
    ['RoPE base', float(config.ropeTheta)],
    ['RoPE dimensions', config.ropeDim],
    ['RMS norm epsilon', float(config.rmsEps)],
    ['router loss in training', config.routerAuxLossCoef === undefined ? undefined : float(config.routerAuxLossCoef)],
  ]
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
}
