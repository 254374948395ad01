// `mixtral batch submit`, `work`, `status` and `collect`: batches over many machines, through a queue. Owns the flags
// and what is printed; interfaces/batch/ does the work.

import type { Command } from 'commander'
import { plainLine } from '../../base/terminalText.js'
import { batchStatus, collectBatch, type QueuedStatus, submitBatch } from '../batch/queueBatches.js'
import { workBatch } from '../batch/queueWorker.js'
import { addBatchModelFlags, type BatchModelFlags, batchLoading, batchName, NAME_FLAG } from './batchFlags.js'
import { BatchBar, mergeText, requestCount } from './batchReport.js'
import { bringAdapters } from './bringing.js'
import { ANY_MODEL, addLoraFlag, addOutputFlags, kvFlag, loadOptions, type ModelFlags, type OutputFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, print, say, speed } from './layout.js'
import { withModel } from './loading.js'

interface QueueFlags extends OutputFlags {
  readonly queue: string
}

interface SubmitFlags extends QueueFlags, Pick<ModelFlags, 'context' | 'kv' | 'lora'> {
  readonly model: string
  readonly name?: string
}

interface WorkFlags extends QueueFlags, Omit<BatchModelFlags, 'name'> {
  readonly lock: number
}

interface CollectFlags extends QueueFlags {
  readonly errors?: string
  readonly remove?: true
}

const about = `
The queue is that of a Redis (redis:// or rediss://) or PostgreSQL (postgres://) server, through the packages bullmq and ioredis, or bullmq and pg, which are
installed beside this one. An address with a password is better given as MIXTRAL_QUEUE than with --queue, where others may see it.
`

/** Adds the commands to `mixtral batch`. */
export function configureBatchQueue(batch: Command): void {
  const submit = batch.command('submit').summary('put requests into a queue').description('Puts the requests of a file into a queue.')
  withQueue(submit.argument('<in>', 'the file of requests'))
    .option('-m, --model <model>', `${ANY_MODEL}; it is not loaded`, 'demo')
    .option(...NAME_FLAG)
    .option('-c, --context <n>', "the context with which workers load it (default: the model's, at most 4096)", wholeNumber(1, 2 ** 24))
    .addOption(kvFlag())
  addLoraFlag(submit)
    .addHelpText('after', wrapped(`${about}\nExamples:\n  mixtral batch submit in.jsonl --queue redis://box:6379 --model mixtral:8x7b`))
    .action(submitTo)

  const work = batch.command('work').summary('answer requests of a queue').description('Answers requests of a queue until all are done.')
  queueFlag(work.argument('<batch>', 'the id that submit has printed'))
  addBatchModelFlags(work)
    .option('--lock <seconds>', 'a worker that is silent for so long loses its requests to others', wholeNumber(1, 86_400), 30)
    .addHelpText(
      'after',
      wrapped(`${about}
A worker with another model, or another version, than the batch was submitted for refuses. Ctrl-C or SIGTERM lets it end what it has begun; the second
one ends it at once, and others do its requests.

Examples:
  mixtral batch work batch_5f0c --queue redis://box:6379 --model mixtral:8x7b`),
    )
    .action(workOn)

  const status = batch.command('status').summary('tell how far a queue is').description('Tells how far a batch in a queue is.')
  withQueue(status.argument('<batch>', 'the id that submit has printed'))
    .addHelpText('after', wrapped(`${about}\nExamples:\n  mixtral batch status batch_5f0c --queue redis://box:6379`))
    .action(tellStatus)

  const collect = batch.command('collect').summary('fetch results of a queue').description('Writes the results of a batch in a queue.')
  withQueue(collect.argument('<in>', 'the file of requests').argument('<out>', 'the file that is written, in the order of the requests'))
    .option('--errors <file>', 'the file for requests that cannot be answered (default: OUT.errors.jsonl)')
    .option('--remove', 'take the batch out of the queue then')
    .addHelpText('after', wrapped(`${about}\nExamples:\n  mixtral batch collect in.jsonl out.jsonl --queue redis://box:6379`))
    .action(collectFrom)
}

function withQueue(command: Command): Command {
  return addOutputFlags(queueFlag(command))
}

function queueFlag(command: Command): Command {
  const { MIXTRAL_QUEUE } = process.env
  const text = 'the address of the queue (default: MIXTRAL_QUEUE of the environment)'
  if (MIXTRAL_QUEUE) command.option('--queue <address>', text).setOptionValue('queue', MIXTRAL_QUEUE)
  else command.requiredOption('--queue <address>', text)
  return command
}

async function submitTo(input: string, flags: SubmitFlags): Promise<void> {
  const { model, queue, json } = flags
  const { contextLength, kvFormat } = loadOptions(flags)
  const name = batchName(flags)
  const adapters = await bringAdapters(flags.lora, json)
  const interrupt = onInterrupt()
  const options = {
    ...(name !== undefined && { name }),
    ...(contextLength !== undefined && { contextLength }),
    ...(kvFormat !== undefined && { kvFormat }),
    ...(adapters.length > 0 && { adapters }),
    signal: interrupt.signal,
  }
  const batch = await submitBatch(model, input, queue, options).finally(interrupt.release)
  if (json) process.stdout.write(jsonLine(batch))
  else {
    print(`${batch.batch}\n`)
    say(`${requestCount(batch.requests)} in ${chunkCount(batch.chunks)}, for ${batch.name}`)
  }
}

async function workOn(batch: string, flags: WorkFlags): Promise<void> {
  const { queue, model, json, lock } = flags
  const summary = await withModel(model, await batchLoading(flags), async (loaded) => {
    const interrupt = onInterrupt()
    const bar = new BatchBar(json === true)
    let requests: number | undefined
    const onStatus = (status: QueuedStatus) => {
      if (requests === undefined && !json) say(`working on ${batch}, ${requestCount(status.requests)} for ${status.name}`)
      requests = status.requests
    }
    return workBatch(loaded, batch, queue, {
      lockSeconds: lock,
      drain: interrupt.signal,
      onStatus,
      onProgress: ({ requests: done, ...others }) => bar.update({ done, total: requests ?? done, promptTokens: 0, ...others }),
    }).finally(() => {
      bar.clear()
      interrupt.release()
    })
  })
  const { requests, failed, newTokens, seconds, status } = summary
  const rate = seconds > 0 ? newTokens / seconds : 0
  if (json) {
    const own = { requests, failed, completion_tokens: newTokens, seconds, tokens_per_second: rate }
    process.stdout.write(jsonLine({ batch, ...own, status: countsOf(status) }))
  } else say(`${requestCount(requests)} here in ${seconds.toFixed(1)} s, ${newTokens} tokens, ${speed(rate)}; ${statusText(status)}`)
}

async function tellStatus(batch: string, { queue, json }: QueueFlags): Promise<void> {
  const status = await batchStatus(batch, queue)
  if (json) process.stdout.write(jsonLine(status))
  else print(`${requestCount(status.requests)} for ${plainLine(status.name)}: ${statusText(status)}\n`)
}

async function collectFrom(input: string, output: string, { queue, errors, remove, json }: CollectFlags): Promise<void> {
  const interrupt = onInterrupt()
  const options = { ...(errors !== undefined && { errors }), ...(remove && { remove }), signal: interrupt.signal }
  const summary = await collectBatch(input, output, queue, options).finally(interrupt.release)
  if (json) process.stdout.write(jsonLine(summary))
  else say(mergeText(summary))
}

const countsOf = ({ chunks, waiting, active, completed, failed }: QueuedStatus) => ({ chunks, waiting, active, completed, failed })

const chunkCount = (chunks: number) => (chunks === 1 ? '1 chunk' : `${chunks} chunks`)

function statusText({ chunks, waiting, active, completed, failed }: QueuedStatus): string {
  const counts = [`${active} under way`, `${waiting} waiting`, ...(failed ? [`${failed} failed`] : [])]
  return `${completed} of ${chunkCount(chunks)} done, ${counts.join(', ')}`
}
