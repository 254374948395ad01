// `mixtral trace`: writes intermediate tensors of a forward pass to files that NumPy and PyTorch read.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { byteCount } from '../../base/amounts.js'
import { ioError } from '../../base/files/byteSource.js'
import { refuseInput } from '../../base/files/draftFile.js'
import { Reference } from '../../evaluation/reference/reference.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import { encodeNpy } from '../../format/tensors/npy.js'
import { encodeSafetensors } from '../../format/tensors/safetensors.js'
import { inputFiles } from '../../runtime/engine/loadedAdapters.js'
import type { TracedTensor } from '../../runtime/trace/taps.js'
import { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { bringAdapters, bringModel } from './bringing.js'
import { checkOutputs, writeOutput } from './files.js'
import { ANY_MODEL, addLoraFlag, addModelFlags, addOutputFlags, type ModelFlags, tokenIds } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, say } from './layout.js'
import { withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'

interface TraceFlags extends ModelFlags {
  readonly tokens?: number[]
  readonly prompt?: string
  readonly tensors?: string[]
  readonly reference?: true
  readonly out: string
}

interface Traced {
  readonly tokens: readonly number[]
  readonly tensors: readonly TracedTensor[]
}

export function configureTrace(command: Command): void {
  command
    .argument('[model]', ANY_MODEL, 'demo')
    .option('--tokens <ids>', 'comma-separated token ids', tokenIds)
    .option('--prompt <text>', 'a text to tokenize as `mixtral run` does')
    .option('--tensors <names>', "comma-separated names, * for anything, such as 'ffn_moe_logits-*,l_out-3' (default: all)", (text) =>
      text.split(',').map((name) => name.trim()),
    )
    .option('--reference', 'from the float64 reference instead of the kernels: slow')
    .requiredOption('--out <path>', 'a file that ends in .safetensors, or a folder for one .npy file per tensor')
  addOutputFlags(addLoraFlag(addModelFlags(command, 'as long as the text at least')))
    .addHelpText(
      'after',
      wrapped(`
The names are llama.cpp's. In a layer, such as 3: attn_norm-3, Qcur-3, Kcur-3, Vcur-3, kqv_merged_cont-3, kqv_out-3, ffn_inp-3, ffn_norm-3,
ffn_moe_logits-3, ffn_moe_topk-3, ffn_moe_weights-3, ffn_moe_weights_norm-3, ffn_moe_gate_par-3, ffn_moe_down-3, ffn_moe_out-3, l_out-3; before the
layers inp_embd, after them result_norm and result_output. Qcur and Kcur come before the rotary embedding and, as Qcur-3-rotated, after it. The
first dimension is the token. Values are float32, with --reference float64; the experts of ffn_moe_topk are int32.

Examples:
  mixtral trace demo --prompt "Once upon a time" --tensors 'l_out-*' --out hidden.safetensors
  mixtral trace demo --tokens 1,672,600 --tensors 'ffn_moe_topk-*,ffn_moe_weights-*' --out routing
  mixtral trace mixtral-8x7b.Q4_K_M.gguf --prompt "The moon" --tensors l_out-0 --reference --out truth --json`),
    )
    .action((model: string, flags: TraceFlags) => trace(command, model, flags))
}

async function trace(command: Command, model: string, flags: TraceFlags): Promise<void> {
  const { prompt, out, json } = flags
  if ((flags.tokens === undefined) === (prompt === undefined)) command.error('expected either --tokens or --prompt')
  if (out.endsWith('.npy')) command.error('--out is a single .npy file, expected a folder for them, or a file that ends in .safetensors')
  checkOutputs(out)
  const { tokens, tensors } = await (flags.reference ? fromReference(model, flags) : fromKernels(model, flags))
  const named = withUniqueNames(tensors)
  const bytes = named.reduce((sum, { values }) => sum + values.byteLength, 0)
  await write(out, named, { model, tokens: tokens.join(','), source: flags.reference ? 'reference' : 'kernels' })
  const list = named.map(({ name, shape }) => ({ name, shape }))
  if (json) process.stdout.write(jsonLine({ model, source: flags.reference ? 'reference' : 'kernels', tokens, out, bytes, tensors: list }))
  else say(`${out}: ${named.length} tensors of ${tokens.length} tokens, ${byteCount(bytes)}`)
}

async function fromKernels(model: string, flags: TraceFlags): Promise<Traced> {
  return withModel(model, flags, async (loaded) => {
    await refuseInput(flags.out, inputFiles(loaded))
    const tokens = flags.tokens ?? loaded.tokenizer.encodePrompt(flags.prompt!)
    const bar = new ProgressLine('trace', { unit: 'tokens', quiet: flags.json === true })
    const interrupt = onInterrupt()
    const { signal } = interrupt
    const onProgress = (progress: { loaded: number; total: number }) => bar.update(progress.loaded, progress.total)
    const tensors = await loaded.trace(tokens, { ...choice(flags), signal, onProgress }).finally(() => {
      bar.clear()
      interrupt.release()
    })
    return { tokens, tensors }
  })
}

async function fromReference(model: string, flags: TraceFlags): Promise<Traced> {
  const adapters = await bringAdapters(flags.lora, flags.json)
  const { path, adapters: own = [] } = await bringModel(model, { purpose: 'reading', quiet: flags.json === true })
  const gguf = await openGguf(path)
  const reference = await Reference.open(gguf, { adapters: [...own, ...adapters] })
  await refuseInput(flags.out, reference.files)
  const tokens = flags.tokens ?? Tokenizer.fromGgufMetadata(gguf.metadata).encodePrompt(flags.prompt!)
  const bar = new ProgressLine('trace', { unit: 'layers', quiet: flags.json === true })
  const tensors = reference.trace(tokens, { ...choice(flags), onProgress: ({ loaded, total }) => bar.update(loaded, total) })
  bar.clear()
  return { tokens, tensors }
}

const choice = ({ tensors }: TraceFlags) => (tensors === undefined ? {} : { tensors })

/** Gives the second tensor of a name, which is the rotated one, a name of its own. */
function withUniqueNames(tensors: readonly TracedTensor[]): TracedTensor[] {
  const seen = new Set<string>()
  return tensors.map((tensor) => {
    const name = seen.has(tensor.name) ? `${tensor.name}-rotated` : tensor.name
    seen.add(name)
    return { ...tensor, name }
  })
}

async function write(out: string, tensors: readonly TracedTensor[], metadata: Readonly<Record<string, string>>): Promise<void> {
  if (out.endsWith('.safetensors')) return writeOutput(out, encodeSafetensors(tensors, metadata))
  await mkdir(out, { recursive: true }).catch((cause) => {
    throw ioError('write', out, cause)
  })
  for (const tensor of tensors) await writeOutput(join(out, `${tensor.name}.npy`), [encodeNpy(tensor)])
}
