// What the package exports, and the only barrel. What few programs call is loaded when it is called, so that importing the library is cheap for the others.

import type { convertCheckpoint as convert } from './authoring/convert/convert.js'
import type { quantizeModel as quantize } from './authoring/quantize/quantize.js'
import type { measureDivergence as divergence } from './evaluation/perplexity/divergence.js'
import type { measurePerplexity as perplexity } from './evaluation/perplexity/perplexity.js'
import type { verifyModel as verify } from './evaluation/verify/verify.js'

export type { ConvertOptions, ConvertResult } from './authoring/convert/convert.js'
export type { ExpertLayout } from './authoring/quantize/expertLayout.js'
export type { QuantizeOptions, QuantizeResult } from './authoring/quantize/quantize.js'
export { type QuantizeType, quantizeTypes } from './authoring/quantize/quantizePlan.js'
export { MixtralError, type MixtralErrorCode } from './base/errors.js'
export type { DivergenceResult } from './evaluation/perplexity/divergence.js'
export { LogitsFile } from './evaluation/perplexity/logitsFile.js'
export type { PerplexityOptions, PerplexityResult } from './evaluation/perplexity/perplexity.js'
export type { Distribution, Estimate } from './evaluation/perplexity/statistics.js'
export type { WindowOptions, WindowProgress } from './evaluation/perplexity/windowOptions.js'
export { Reference } from './evaluation/reference/reference.js'
export type { Fault } from './evaluation/verify/stageCheck.js'
export type { LayerVerdict, Verdict, Verification, VerifyOptions } from './evaluation/verify/verify.js'
export type { Gguf, GgufTensor, GgufValue } from './format/gguf/gguf.js'
export type { PullOptions, PullProgress } from './registry/pull.js'
export { HuggingFace, OllamaRegistry } from './registry/registries.js'
export type { LocalModel } from './registry/stores/localModels.js'
export type { CallOptions } from './runtime/engine/engine.js'
export type { Progress } from './runtime/engine/engineOptions.js'
export type { KernelBuild } from './runtime/kernels/abi.js'
export type { StageTime } from './runtime/model/profile.js'
export type { Stage } from './runtime/model/stages.js'
export type { SamplerOptions } from './runtime/sampler/samplerOptions.js'
export type { TracedTensor, TraceOptions } from './runtime/trace/taps.js'
export type { Matrix } from './runtime/weights/matrixSource.js'
export { MixtralConfig } from './runtime/weights/mixtralConfig.js'
export { WeightLoader, type Weights } from './runtime/weights/weightLoader.js'
export type { ChatMessage } from './text/chat/chatMessages.js'
export type { GenerationResult, Piece } from './text/generate/generation.js'
export type { GenerationConfig, GenerationOptions, LogitBias } from './text/generate/generationOptions.js'
export { type ChatResult, type LoadOptions, MixtralModel } from './text/generate/mixtralModel.js'
export type { DrawnLogprob, TokenLogprob } from './text/generate/tokenLogprobs.js'
export { Tokenizer } from './text/tokenizer/tokenizer.js'

/**
 * Converts a Mixtral checkpoint, as transformers or Mistral AI's own tools write it (safetensors, one file or shards), to a GGUF file.
 * @param folder with the weights, config.json (or params.json) and tokenizer.model or tokenizer.json
 * @param target the file to write; it gets its name when all of it is there
 * Throws `CHECKPOINT` for a malformed or incomplete checkpoint and `UNSUPPORTED` for one of another kind, both before anything is written; `IO`; `OPTION` if a
 * number does not fit the type; `ABORTED`.
 * @example await convertCheckpoint('Mixtral-8x7B-Instruct-v0.1', 'mixtral.gguf', { type: 'BF16' })
 */
export const convertCheckpoint: typeof convert = async (...args) =>
  (await import('./authoring/convert/convert.js')).convertCheckpoint(...args)

/**
 * Writes the model at `input`, any shard of a sharded one, to `output` in `type`: `Q4_K_M` and its kin choose a block type per tensor as llama.cpp does, `copy` keeps the weights
 * and changes only layout and shards. `output` has its name when all of it is written; on any failure nothing is there but what was before.
 * Throws `GGUF`, `MODEL` or `UNSUPPORTED` for an input that cannot be, `OPTION` for one that is quantised already or an output in its place, `IO` (first of all if the
 * disk has no room), `ABORTED`.
 * @example await quantizeModel('mixtral-F16.gguf', 'mixtral-Q4_K_M.gguf', 'Q4_K_M')
 */
export const quantizeModel: typeof quantize = async (...args) => (await import('./authoring/quantize/quantize.js')).quantizeModel(...args)

/**
 * Checks a loaded model. First a forward pass of `tokens`, in which each stage is compared with float64 arithmetic on its own inputs; then every matrix: its bytes in memory
 * with the file's, its products with the format's oracle bit for bit, and with exact arithmetic. A product of a quantised matrix may be off by what rounding its input to 8
 * bits may do: for every block of the input half a step, times the sum of the magnitudes of the weights it meets.
 * Throws `OPTION` for no or too many tokens, `IO`, `ABORTED` and what a call on the model throws.
 */
export const verifyModel: typeof verify = async (...args) => (await import('./evaluation/verify/verify.js')).verifyModel(...args)

/**
 * The perplexity of a text. The tokenizer puts BOS first if the model asks for it, and control tokens spelled in the text do not count as such.
 * Throws `OPTION` for a text of less than two windows, `IO` for logits that cannot be stored, and what `model.logits` throws.
 *
 * @example
 * const { perplexity } = await measurePerplexity(model, text, { contextLength: 256 })
 * console.log(`${perplexity.value} ± ${perplexity.error}`)
 */
export const measurePerplexity: typeof perplexity = async (...args) =>
  (await import('./evaluation/perplexity/perplexity.js')).measurePerplexity(...args)

/**
 * Runs the model over the tokens in a file of stored logits, and compares. Throws `OPTION` if the file's vocabulary is of another size, `IO` if
 * it cannot be read, and what `model.logits` throws.
 *
 * @example
 * const base = await LogitsFile.open('F16.kld')
 * const { divergence, sameTop } = await measureDivergence(model, base)
 * await base.close()
 */
export const measureDivergence: typeof divergence = async (...args) =>
  (await import('./evaluation/perplexity/divergence.js')).measureDivergence(...args)
