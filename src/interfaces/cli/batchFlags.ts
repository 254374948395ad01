// The flags that the commands of `mixtral batch` share: the model, its name, and how many requests share its steps.
// Owns their help texts, and what they mean for loading.

import { type Command, InvalidArgumentError } from 'commander'
import type { BatchOptions } from '../batch/runBatch.js'
import { ANY_MODEL, addLoraFlag, addModelFlags, addOutputFlags, type ModelFlags, wholeNumber } from './flags.js'
import { nameOf, roomyPositions } from './loading.js'

export interface BatchModelFlags extends ModelFlags {
  readonly model: string
  readonly name?: string
  readonly parallel?: number
  readonly kvTokens?: number
}

export const NAME_FLAG = ['--name <name>', "the model's name in requests and answers (default: as it was given here)"] as const

/** The flags of a command that loads a model for requests. */
export function addBatchModelFlags(command: Command): Command {
  command.option('-m, --model <model>', ANY_MODEL, 'demo')
  return addOutputFlags(addLoraFlag(addModelFlags(command)))
    .option('--parallel <n>', 'most requests that share steps (default: 8)', wholeNumber(1, 4096))
    .option(
      '--kv-tokens <n>',
      'tokens of the KV cache, which all share (default: a context for each, if no expert must leave memory for it)',
      wholeNumber(1, 2 ** 24),
    )
}

/** The options of loading that these flags stand for. */
export async function batchLoading({ parallel, kvTokens, ...flags }: BatchModelFlags) {
  const positions = kvTokens ?? (await roomyPositions(flags.model, { ...flags, ...(parallel !== undefined && { parallel }) }))
  return { ...flags, ...(parallel !== undefined && { sequences: parallel }), ...(positions !== undefined && { kvTokens: positions }) }
}

/** The model's name in requests and answers: the same on every machine that calls the model the same. */
export function batchName({ name, model }: Pick<BatchModelFlags, 'name' | 'model'>): string | undefined {
  return name ?? nameOf(model)
}

/** Reads `2/4`. */
export function shardOf(text: string): NonNullable<BatchOptions['shard']> {
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text)?.map(Number) ?? []
  if (index !== undefined && count !== undefined && index >= 1 && index <= count) return { index, count }
  throw new InvalidArgumentError('Expected a part of a number of parts, such as 2/4.')
}
