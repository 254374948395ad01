// `mixtral bench`: measures prefill and decode speed without sampling. Every repetition starts from an empty KV cache.

import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { byteCount } from '../../base/amounts.js'
import type { StageTime } from '../../runtime/model/profile.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { type Measuring, measureParallel, type ParallelRate, sequenceCounts } from './benchParallel.js'
import { ANY_MODEL, addLoraFlag, addModelFlags, addOutputFlags, type ModelFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { columns, jsonLine, print, speed } from './layout.js'
import { expertFields, expertText, withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'

interface BenchFlags extends ModelFlags {
  readonly promptTokens: number
  readonly newTokens: number
  readonly repetitions: number
  readonly parallel?: number[]
  readonly profile?: true
}

export function configureBench(command: Command): void {
  command
    .argument('[model]', ANY_MODEL, 'demo')
    .option('-p, --prompt-tokens <n>', 'tokens to prefill', wholeNumber(1), 64)
    .option('-n, --new-tokens <n>', 'tokens to decode, one at a time', wholeNumber(1), 16)
    .option('-r, --repetitions <n>', 'number of measurements; the median is reported', wholeNumber(1, 1000), 3)
    .option(
      '--parallel <counts>',
      'also write with these numbers of sequences at the same time, such as 1,2,4,8,16, and tell the tokens a second of all together',
      sequenceCounts,
    )
    .option('--profile', 'show where the time goes, stage by stage, and how long threads wait for each other')
  addOutputFlags(addLoraFlag(addModelFlags(command, 'for which the KV cache is made')))
    .addHelpText(
      'after',
      wrapped(`
Examples:
  mixtral bench
  mixtral bench mixtral-8x7b.Q4_K_M.gguf -p 64 -n 16 --threads 8 --json
  mixtral bench mixtral-8x7b.Q4_K_M.gguf --profile
  mixtral bench mixtral-8x7b.Q4_K_M.gguf --parallel 1,2,4,8`),
    )
    .action(bench)
}

async function bench(name: string, flags: BenchFlags): Promise<void> {
  const { promptTokens, newTokens, repetitions } = flags
  // The smallest context that suffices keeps the KV cache out of the reported memory.
  const context = flags.context ?? promptTokens + newTokens
  const sequences = Math.max(1, ...(flags.parallel ?? []))
  const together = { sequences, kvTokens: sequences * context, batchSize: Math.max(128, sequences) }
  await withModel(name, { ...flags, context, ...(flags.parallel && together), ...(flags.profile && { profile: true }) }, async (model) => {
    const interrupt = onInterrupt()
    const { signal } = interrupt
    const runs: Times[] = []
    const parallel: ParallelRate[] = []
    const counts = [...Array<number>(repetitions).fill(1), ...(flags.parallel ?? [])]
    const line = new ProgressLine('measuring', { unit: 'tokens', quiet: flags.json === true })
    const total = (promptTokens + newTokens) * counts.reduce((sum, count) => sum + count, 0)
    let done = 0
    const onTokens = (tokens: number) => {
      done += tokens
      line.update(done, total)
    }
    const measuring = { promptTokens, newTokens, signal, onTokens }
    try {
      for (let i = 0; i < repetitions; i++) runs.push(await measure(model, measuring))
      for await (const rate of measureParallel(model, flags.parallel ?? [], measuring)) parallel.push(rate)
    } catch (error) {
      line.clear()
      if (signal.aborted && runs.length > 0) report({ name, model, flags, runs, parallel, interrupted: true })
      throw error
    } finally {
      line.clear()
      interrupt.release()
    }
    report({ name, model, flags, runs, parallel, interrupted: false })
  })
}

interface Measured {
  readonly name: string
  readonly model: MixtralModel
  readonly flags: BenchFlags
  /** At least one. */
  readonly runs: readonly Times[]
  readonly parallel: readonly ParallelRate[]
  /** Whether Ctrl-C came before all was measured. */
  readonly interrupted: boolean
}

/** Prints what was measured, all of it or what there is. */
function report({ name, model, flags, runs, parallel, interrupted }: Measured): void {
  const { promptTokens, newTokens, repetitions } = flags
  const experts = runs.at(-1)!.experts
  const stages = (which: 'prefillStages' | 'decodeStages') =>
    stageTimes(
      runs.map((run) => run[which]),
      model.threads,
    )
  const result = {
    ...(interrupted && { interrupted, of_repetitions: repetitions }),
    model: name,
    prompt_tokens: promptTokens,
    new_tokens: newTokens,
    repetitions: runs.length,
    prefill_tokens_per_second: median(runs.map(({ prefillSeconds }) => promptTokens / prefillSeconds)),
    decode_tokens_per_second: median(runs.map(({ decodeSeconds }) => newTokens / decodeSeconds)),
    ...(flags.parallel && { parallel }),
    load_seconds: model.loadSeconds,
    weight_bytes: model.memory.weightBytes,
    kv_bytes: model.memory.kvBytes,
    memory_bytes: model.memory.totalBytes,
    experts_in_memory: model.memory.expertSlots,
    ...expertFields(experts, newTokens),
    peak_rss_bytes: peakRssBytes(),
    threads: model.threads,
    runtime: runtimeName(),
    kernels: model.kernels,
    ...(flags.profile && { prefill_stages: stages('prefillStages'), decode_stages: stages('decodeStages') }),
  }
  if (flags.json) {
    process.stdout.write(jsonLine(result))
    return
  }
  const table = columns([
    ['prefill', speed(result.prefill_tokens_per_second), `${promptTokens} tokens, median of ${runs.length}`],
    ['decode', speed(result.decode_tokens_per_second), `${newTokens} tokens, median of ${runs.length}`],
    ...(experts ? [['', expertText(experts, newTokens)]] : []),
    ...parallel.map((rate) => [`${rate.sequences} at once`, speed(rate.tokens_per_second), 'tokens of all sequences together']),
    ['load', `${result.load_seconds.toFixed(2)} s`],
    ['peak memory', byteCount(result.peak_rss_bytes)],
    ['threads', String(result.threads)],
    ['runtime', result.runtime],
    ['kernels', result.kernels],
  ])
  const profiles = [result.prefill_stages, result.decode_stages].map((stages, i) =>
    stages ? `\n${profileText(stages, i ? 'decode' : 'prefill')}` : '',
  )
  const part = interrupted ? `interrupted after ${runs.length} of ${repetitions} repetitions\n` : ''
  print(part + table + profiles.join(''))
}

interface Times {
  readonly prefillSeconds: number
  readonly decodeSeconds: number
  readonly prefillStages: readonly StageTime[]
  readonly decodeStages: readonly StageTime[]
  /** Figures of decoding; undefined where all experts are in memory. */
  readonly experts: ExpertFigures | undefined
}

/**
 * One run over token ids that never repeat a context. The tokens are arbitrary, but many different experts must run.
 */
async function measure(model: MixtralModel, { promptTokens, newTokens, signal, onTokens }: Measuring): Promise<Times> {
  const { vocabSize } = model.config
  const ids = Array.from({ length: promptTokens + newTokens }, (_, i) => (i * 7919 + 13) % vocabSize)
  await model.reset()
  await model.takeProfile()
  const start = performance.now()
  await model.evaluate(ids.slice(0, promptTokens), { signal })
  const middle = performance.now()
  onTokens(promptTokens)
  const prefillStages = await model.takeProfile()
  const before = model.expertFigures()
  const resumed = performance.now()
  for (let count = promptTokens + 1; count <= ids.length; count++) {
    await model.evaluate(ids.slice(0, count), { signal })
    onTokens(1)
  }
  const decodeSeconds = (performance.now() - resumed) / 1000
  return {
    prefillSeconds: (middle - start) / 1000,
    decodeSeconds,
    prefillStages,
    decodeStages: await model.takeProfile(),
    experts: model.expertFigures(before),
  }
}

/**
 * The mean of all runs for each stage: milliseconds in which a thread worked, and in which it waited for the others.
 */
function stageTimes(runs: readonly (readonly StageTime[])[], threads: number) {
  const mean = (stage: number, what: 'working' | 'waiting') =>
    (1000 * runs.reduce((sum, stages) => sum + stages[stage]![what], 0)) / runs.length / threads
  return runs[0]!.map(({ stage }, i) => ({ stage, working_ms: mean(i, 'working'), waiting_ms: mean(i, 'waiting') }))
}

function profileText(stages: ReturnType<typeof stageTimes>, name: string): string {
  const total = stages.reduce((sum, { working_ms, waiting_ms }) => sum + working_ms + waiting_ms, 0)
  const waiting = stages.reduce((sum, { waiting_ms }) => sum + waiting_ms, 0)
  const share = (milliseconds: number) => `${((100 * milliseconds) / total || 0).toFixed(1)} %`
  const rows = stages.map(({ stage, working_ms, waiting_ms }) => [`  ${stage}`, share(working_ms), share(waiting_ms)])
  return columns([[name, 'working', 'waiting'], ...rows, ['  all', share(total - waiting), share(waiting)]], [1, 2])
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The largest physical memory that this process ever had. */
function peakRssBytes(): number {
  try {
    // On Linux, resourceUsage includes the process before exec, which is a copy of its parent.
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    if (peak) return Number(peak[1]) * 1024
  } catch {} // not Linux
  return process.resourceUsage().maxRSS * 1024
}

function runtimeName(): string {
  const { bun, deno, node } = process.versions
  if (bun) return `bun ${bun}`
  return deno ? `deno ${deno}` : `node ${node}`
}
