// `mixtral batch`: a file of requests, answered on this machine, and the joining of results. Owns the flags and what is
// printed; interfaces/batch/ does the work.

import type { Command } from 'commander'
import { mergeBatch } from '../batch/mergeBatch.js'
import { type BatchOptions, runBatch } from '../batch/runBatch.js'
import { addBatchModelFlags, type BatchModelFlags, batchLoading, batchName, NAME_FLAG, shardOf } from './batchFlags.js'
import { configureBatchQueue } from './batchQueue.js'
import { BatchBar, mergeText, summaryJson, summaryText } from './batchReport.js'
import { configureBatchVerify } from './batchVerify.js'
import { addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, say } from './layout.js'
import { withModel } from './loading.js'

interface RunFlags extends BatchModelFlags {
  readonly errors?: string
  readonly shard?: NonNullable<BatchOptions['shard']>
}

interface MergeFlags extends OutputFlags {
  readonly errors?: string
}

const ERRORS = 'the file for requests that cannot be answered (default: OUT.errors.jsonl)'

export function configureBatch(command: Command): void {
  command
    .argument('<in>', 'a file of requests, one a line, as OpenAI has them')
    .argument('<out>', 'the file of results; a folder, or a name that ends in /, is shared with other processes')
    .option('--errors <file>', ERRORS)
    .option('--shard <i/n>', 'do the i-th of n parts of the requests, counted from 1', shardOf)
  addBatchModelFlags(command)
    .option(...NAME_FLAG)
    .addHelpText(
      'after',
      wrapped(`
Answers requests for /v1/chat/completions, /v1/completions and /v1/embeddings, many at once. OUT is written as answers come; what is in it already is not
done again, so a run that was stopped, or killed, goes on where it was. A request without a seed gets one that follows from the file and its custom_id: the
same file gives the same results on every machine, whatever was killed meanwhile. A request that is wrong has its result in the file of errors.

The commands below are called as "mixtral batch merge" and so on; each has its --help.

Examples:
  mixtral batch in.jsonl out.jsonl --model mixtral:8x7b
  mixtral batch in.jsonl part2.jsonl --shard 2/4      one of four machines
  mixtral batch in.jsonl shared/                      in several processes
  mixtral batch merge in.jsonl out.jsonl shared/
  mixtral batch verify out.jsonl --input in.jsonl --sample 1%`),
    )
    .action(run)
  command.enablePositionalOptions().helpCommand(false)
  configureMerge(command.command('merge').summary('join results in the order of the requests'))
  configureBatchVerify(command.command('verify').summary('check results'))
  configureBatchQueue(command)
}

function configureMerge(command: Command): void {
  command
    .description('Joins results of runs in the order of the requests.')
    .argument('<in>', 'the file of requests')
    .argument('<out>', 'the file that is written')
    .argument('<from...>', 'files and folders of results; the errors beside a file are taken with it')
    .option('--errors <file>', ERRORS)
  addOutputFlags(command)
    .addHelpText(
      'after',
      wrapped(`
All must be results of this file, by one model and one version. A result that is there twice must have the same bytes; one that is missing is an error.

Examples:
  mixtral batch merge in.jsonl out.jsonl part1.jsonl part2.jsonl part3.jsonl
  mixtral batch merge in.jsonl out.jsonl shared/`),
    )
    .action(merge)
}

async function run(input: string, output: string, flags: RunFlags): Promise<void> {
  const { model, json, errors, shard } = flags
  const name = batchName(flags)
  const summary = await withModel(model, await batchLoading(flags), async (loaded) => {
    const bar = new BatchBar(json === true)
    const interrupt = onInterrupt()
    const options: BatchOptions = {
      ...(errors !== undefined && { errors }),
      ...(name !== undefined && { name }),
      ...(shard && { shard }),
      signal: interrupt.signal,
      onProgress: (progress) => bar.update(progress),
      onWait: (pid) => {
        if (!json) say(`waiting for process ${pid}, which writes ${output}`)
      },
    }
    return runBatch(loaded, input, output, options).finally(() => {
      bar.clear()
      interrupt.release()
    })
  })
  if (json) process.stdout.write(jsonLine(summaryJson(summary)))
  else say(summaryText(summary))
}

async function merge(input: string, output: string, from: readonly string[], { errors, json }: MergeFlags): Promise<void> {
  const interrupt = onInterrupt()
  const summary = await mergeBatch(input, output, from, { ...(errors !== undefined && { errors }), signal: interrupt.signal }).finally(
    interrupt.release,
  )
  if (json) process.stdout.write(jsonLine(summary))
  else say(mergeText(summary))
}
