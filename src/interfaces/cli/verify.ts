// `mixtral verify`: checks that the files of a model are those that were pulled, by their SHA-256, and that the kernels
// compute it correctly on this machine. Owns what is printed, and the hash of a file, read in pieces;
// evaluation/verify/ gives the verdict.

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { Command } from 'commander'
import { abortedError, MixtralError } from '../../base/errors.js'
import { type LayerVerdict, MOST_TOKENS, type Verdict, verifyModel } from '../../evaluation/verify/verify.js'
import { pulledDigest } from '../../registry/stores/localModels.js'
import { ANY_MODEL, addModelFlags, addOutputFlags, type ModelFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { colorsOf, complain, jsonLine, print, widthOf } from './layout.js'
import { withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'

interface Result {
  readonly layers: readonly LayerVerdict[]
  readonly faults: Awaited<ReturnType<typeof verifyModel>>['faults']
  readonly damaged: Awaited<ReturnType<typeof damagedFiles>>
  readonly tokens: readonly number[]
}

interface VerifyFlags extends ModelFlags {
  readonly prompt: string
}

/** A text of more than the four tokens that a kernel takes at once, and no multiple of four, with any vocabulary. */
const defaultPrompt = 'Once upon a time, there was a child who lived near the sea.'
/** Largest number of faults to name; more of them have one cause. */
const MOST_FAULTS = 20
/** Columns of a row of the table with its column of weights. */
const WIDEST_ROW = 75

const figures = `
error: how far products are from exact ones, in the worst matrix; most of it is the rounding of activations to 8 bits
of allowed: the error of the worst row, as a share of what the format allows

`

export function configureVerify(command: Command): void {
  command
    .argument('[model]', ANY_MODEL, 'demo')
    .option('--prompt <text>', `the text to run, of which the first ${MOST_TOKENS} tokens count`, defaultPrompt)
  addOutputFlags(addModelFlags(command, 'for which the KV cache is made'))
    .addHelpText(
      'after',
      wrapped(`
Every matrix is checked: memory must hold what the file packs to, and the kernels' product with a probe must have the bits of the plain TypeScript
oracle of its format. A forward pass of the prompt is checked too: every stage is compared with float64 arithmetic on its own input, so that a fault
is named where it is made. A file that was pulled must have the SHA-256 that it was pulled by.

"error" is the relative distance from exact products with exact activations, of the layer's worst matrix. Most of it is the cost of rounding
activations to 8 bits. "of allowed" is the error of the worst row, as a share of what its format allows: for each block of activations half a step of
the rounding, times the magnitudes of the weights that it meets, plus the rounding of float32.

The last line says whether all is right; the exit code is 1 if there is a fault. An 8x7B takes about 15 minutes divided by the number of threads.

Examples:
  mixtral verify
  mixtral verify mixtral-8x7b.Q4_K_M.gguf --json`),
    )
    .action(verify)
}

async function verify(name: string, flags: VerifyFlags): Promise<void> {
  const { json } = flags
  const result = await withModel(name, flags, async (model) => {
    const damaged = await damagedFiles(model.gguf.files, json === true)
    const tokens = model.tokenizer.encodePrompt(flags.prompt).slice(0, Math.min(MOST_TOKENS, model.batchSize))
    const bar = new ProgressLine('verifying', { unit: 'bytes', quiet: json === true })
    const interrupt = onInterrupt()
    if (!json) process.stdout.write(tableRow('layer', 'weights', 'matrices', 'error', 'of allowed', ''))
    const onLayer = (verdict: LayerVerdict) => {
      bar.clear()
      if (!json) process.stdout.write(describe(layerName(verdict.layer, model.config.layers), verdict))
    }
    const onProgress = (progress: { loaded: number; total: number }) => bar.update(progress.loaded, progress.total)
    const found = await verifyModel(model, tokens, { signal: interrupt.signal, onProgress, onLayer }).finally(() => {
      bar.clear()
      interrupt.release()
    })
    return { ...found, damaged, tokens, kernels: model.kernels, count: model.config.layers }
  })
  const { layers, formats, faults, damaged, tokens, kernels, count } = result
  if (json) {
    const verdicts = {
      layers: layers.map((one) => ({ layer: layerName(one.layer, count), ...verdictJson(one) })),
      formats: formats.map(verdictJson),
    }
    process.stdout.write(
      jsonLine({
        model: name,
        kernels,
        tokens,
        ...verdicts,
        faults: faults.map((fault) => ({ ...fault, layer: layerName(fault.layer, count) })),
        damaged_files: damaged,
        ok: faults.length === 0 && damaged.length === 0,
      }),
    )
  } else {
    process.stdout.write(`\n${tableRow('format', '', 'matrices', 'error', 'of allowed', '')}`)
    for (const verdict of formats) process.stdout.write(describe(verdict.types[0] ?? 'F32', { ...verdict, types: [] }))
    print(figures)
  }
  if (faults.length || damaged.length) {
    process.exitCode = 1
    nameFaults(result)
  }
  if (!json) print(`${conclusion(result)}\n`)
}

/** Names what is wrong on stderr. */
function nameFaults({ faults, damaged }: Pick<Result, 'faults' | 'damaged'>): void {
  for (const { path, sha256, expected } of damaged) {
    complain(`${path}: its SHA-256 is ${sha256}, expected ${expected}, by which it was pulled`)
  }
  for (const { tensor, problem } of faults.slice(0, MOST_FAULTS)) complain(`${tensor}: ${problem}`)
  const more = faults.length - MOST_FAULTS
  if (more > 0) complain(`and ${more} more`)
}

/** The answer to what was asked. */
function conclusion({ layers, faults, damaged, tokens }: Result): string {
  const matrices = layers.reduce((sum, layer) => sum + layer.matrices, 0)
  const { bold } = colorsOf(process.stdout)
  if (!faults.length && !damaged.length)
    return `${bold('right')}: all ${matrices} matrices, and every stage of a pass of ${tokens.length} tokens`
  const found = faults.length > 0 && `${faults.length} ${faults.length === 1 ? 'fault' : 'faults'} in the kernels or in memory`
  const files = damaged.length > 0 && 'the file is not what was pulled: delete it with mixtral rm, and pull it again'
  return `${bold('wrong')}: ${[found, files].filter(Boolean).join('; ')}`
}

/** The files that are not what they were when they were pulled, as far as that is known. */
async function damagedFiles(files: readonly { readonly path: string; readonly bytes: number }[], quiet: boolean) {
  const bar = new ProgressLine('hashing', { unit: 'bytes', quiet })
  const interrupt = onInterrupt()
  const damaged: { readonly path: string; readonly sha256: string; readonly expected: string }[] = []
  try {
    for (const { path, bytes } of files) {
      const expected = await pulledDigest(path)
      if (expected === undefined) continue
      const sha256 = await fileHash(path, { signal: interrupt.signal, onProgress: (done) => bar.update(done, bytes) })
      if (sha256 !== expected) damaged.push({ path, sha256, expected })
    }
  } finally {
    bar.clear()
    interrupt.release()
  }
  return damaged
}

const layerName = (layer: number, layers: number) => (layer < 0 ? 'embedding' : layer === layers ? 'output' : String(layer))

function describe(name: string, { types, matrices, error, worstShare, faults }: Verdict): string {
  const { green, red } = colorsOf(process.stdout)
  const verdict = faults.length ? red('OFF') : green('ok')
  return tableRow(name, types.join(' '), String(matrices), error.toPrecision(2), `${(100 * worstShare).toPrecision(2)} %`, verdict)
}

function verdictJson({ types, matrices, error, worstShare, faults }: Verdict) {
  return { types, matrices, error, share_of_allowed: worstShare, faults: faults.length, ok: faults.length === 0 }
}

// Rows come one by one, so the widths are fixed. A narrow terminal gets no column of weights.
function tableRow(name: string, types: string, matrices: string, error: string, share: string, verdict: string): string {
  const weights = widthOf(process.stdout) < WIDEST_ROW ? [] : [types.padEnd(24)]
  const cells = [name.padEnd(9), ...weights, matrices.padStart(8), error.padStart(9), share.padStart(10), verdict]
  return `${cells.join('  ').trimEnd()}\n`
}

const PIECE = 2 ** 20

interface Hashing {
  readonly signal?: AbortSignal
  /** Called with the bytes that have been read. */
  readonly onProgress?: (bytes: number) => void
}

/** The hash in hex. Throws `IO` if the file cannot be read, and `ABORTED`. */
async function fileHash(path: string, { signal, onProgress }: Hashing = {}): Promise<string> {
  const file = await open(path).catch((cause: Error) => {
    throw new MixtralError('IO', `${path}: cannot be opened: ${cause.message}`, { cause })
  })
  try {
    const hash = createHash('sha256')
    const piece = new Uint8Array(PIECE)
    for (let done = 0; ; ) {
      if (signal?.aborted) throw abortedError(signal)
      const { bytesRead } = await file.read(piece, 0, PIECE, done).catch((cause: Error) => {
        throw new MixtralError('IO', `${path}: cannot be read: ${cause.message}`, { cause })
      })
      if (bytesRead === 0) return hash.digest('hex')
      hash.update(piece.subarray(0, bytesRead))
      done += bytesRead
      onProgress?.(done)
    }
  } finally {
    await file.close()
  }
}
