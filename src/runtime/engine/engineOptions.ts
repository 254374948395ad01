// The options for loading a model: their defaults and their checks. Does not know a model's weights.

import { availableParallelism } from 'node:os'
import { checkText, MixtralError, shown } from '../../base/errors.js'
import type { AdapterChoice } from '../adapters/adapterSet.js'
import type { KvFormat } from '../kernels/abi.js'
import { memoryBudget } from '../machine/memory.js'
import { LARGEST_BANK } from '../weights/bankLayout.js'
import type { PlanOptions } from '../weights/plan.js'

export interface EngineOptions {
  /** Worker threads. Default: the cores that this process may use. */
  readonly threads?: number
  /** Most tokens of one sequence, prompt and answer together. Default: the model's, at most 4096. */
  readonly contextLength?: number
  /** Most requests that share a step, and so run together. Default 8. */
  readonly sequences?: number
  /** Positions of the KV cache, which all requests share. Default: contextLength. */
  readonly kvTokens?: number
  /**
   * Milliseconds that a step may take while a sequence decodes: how many tokens of prompts join it. Default: twice the
   * time of a step that reads nearly all experts, from 250 to 2000.
   */
  readonly stepMs?: number
  /**
   * Whether tokens that may come next run with a step, before it is known: true wherever there are some, false never.
   * What is written is the same. Default: where it is faster.
   */
  readonly drafts?: boolean
  /** The format of keys and values. Default: f16, or f32 if the file's key weights are F32. */
  readonly kvFormat?: KvFormat
  /** Most tokens of one step. Default 128. */
  readonly batchSize?: number
  /** Bytes a bank is filled to. Default 2 GiB. */
  readonly bankBytes?: number
  /**
   * Most bytes of memory for weights, KV cache and scratch together. Experts that do not fit are read from the file
   * when a token needs them. Default: the memory that the system has available, page cache included, less 5 % and 250
   * MB for the program.
   */
  readonly ram?: number
  /**
   * LoRA adapters that are applied, by path or with a scale: GGUF files, or folders as PEFT writes them; or, where a
   * model is loaded by its name, `hf:` names of adapters on this machine. They come behind those that an Ollama model
   * has. Their changes add up. A call may choose among them. Default: none.
   */
  readonly adapters?: readonly (string | AdapterChoice)[]
  /** Called before the first weights are read, a few times a second while they are, and at the end; in bytes. */
  readonly onProgress?: (progress: Progress) => void
  readonly signal?: AbortSignal
  /** The worker's file. Default: this package's. */
  readonly worker?: string
  /** Whether to time the stages of steps, at a small cost. Default false. */
  readonly profile?: boolean
}

export interface Progress {
  readonly loaded: number
  readonly total: number
  /** Of a prompt: how many of its tokens the KV cache had. They count as loaded. */
  readonly reused?: number
}

const DEFAULT_BATCH_SIZE = 128
const DEFAULT_SEQUENCES = 8

/** Default context length: the positions of the model, at most 4096. */
const defaultContextLength = (maxPositions: number) => Math.min(maxPositions, 4096)

/** Throws `OPTION`. */
export function checkEngineOptions(
  options: EngineOptions,
  maxPositions: number,
): Omit<PlanOptions, 'build'> & Pick<EngineOptions, 'stepMs' | 'drafts'> {
  if (options.worker !== undefined) checkText('worker', options.worker)
  const contextLength = positive('contextLength', options.contextLength ?? defaultContextLength(maxPositions), 2 ** 24)
  const kvTokens = positive('kvTokens', options.kvTokens ?? contextLength, 2 ** 24)
  if (kvTokens < contextLength) {
    throw new MixtralError('OPTION', `kvTokens is ${kvTokens}, expected at least the context's ${contextLength}`)
  }
  const spare = memoryBudget()
  const ram = options.ram === undefined ? spare : positive('ram', options.ram, Number.MAX_SAFE_INTEGER, ' of bytes')
  const batchSize = Math.min(positive('batchSize', options.batchSize ?? DEFAULT_BATCH_SIZE, 4096), kvTokens)
  return {
    threads: positive('threads', options.threads ?? availableParallelism(), 1024),
    contextLength,
    batchSize,
    sequences: positive('sequences', options.sequences ?? Math.min(DEFAULT_SEQUENCES, batchSize), batchSize),
    kvTokens,
    ...(options.stepMs !== undefined && { stepMs: positive('stepMs', options.stepMs, 3_600_000) }),
    ...(options.drafts !== undefined && { drafts: checkDrafts(options.drafts) }),
    ram,
    expandedRam: Math.min(ram, spare),
    ...(options.kvFormat !== undefined && { kvFormat: checkKvFormat(options.kvFormat) }),
    ...(options.bankBytes !== undefined && { bankBytes: positive('bankBytes', options.bankBytes, LARGEST_BANK, ' of bytes') }),
  }
}

function checkDrafts(drafts: unknown): boolean {
  if (typeof drafts !== 'boolean') throw new MixtralError('OPTION', `drafts is ${shown(drafts)}, expected true or false`)
  return drafts
}

function checkKvFormat(format: KvFormat): KvFormat {
  if (!['f16', 'f32', 'q8'].includes(format)) throw new MixtralError('OPTION', `kvFormat is ${shown(format)}, expected f16, f32 or q8`)
  return format
}

function positive(name: string, value: number, limit: number, unit = ''): number {
  if (!Number.isInteger(value) || value < 1 || value > limit) {
    const most = limit === Number.MAX_SAFE_INTEGER ? '2^53 - 1' : limit
    throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected a whole number${unit} from 1 to ${most}`)
  }
  return value
}
