// `mixtral run`: generates text from a raw prompt. Owns how its two optional arguments are distinguished, and the
// prompt of the demo model where none is given.

import type { Command } from 'commander'
import { MixtralError } from '../../base/errors.js'
import { findLocalModel } from '../../registry/stores/localModels.js'
import { checkSamplerOptions } from '../../runtime/sampler/checkSamplerOptions.js'
import { receive, showLogprobs, speeds, summarize } from './answer.js'
import { ANY_MODEL, addLoraFlag, addModelFlags, addOutputFlags, type ModelFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { colorsOf, jsonLine, say, streamedTo } from './layout.js'
import { expertFields, withModel } from './loading.js'
import { addSamplingFlags, checkBeforeLoading, generationOptions, type SamplingFlags } from './samplingFlags.js'
import { isModelArgument, pipedText, textOrStdin, watchUnread } from './stdin.js'

type RunFlags = ModelFlags & SamplingFlags

/** The prompt and flags with which the demo model tells a whole little story, the same on every machine. */
const demoPrompt = 'Once upon a time'
const demoFlags: SamplingFlags = { temperature: 0.5, seed: 38, maxTokens: 200 }

export function configureRun(command: Command): void {
  command
    .argument('[model]', `${ANY_MODEL} (default: "demo")`)
    .argument('[prompt]', 'the prompt (default: what a pipe brings on standard input)')
  addOutputFlags(addSamplingFlags(addLoraFlag(addModelFlags(command))))
    .addHelpText(
      'after',
      wrapped(`
A single argument is the model if it is "demo", ends in .gguf, or is an existing file or a name such as mixtral:8x7b; else it is a prompt for the demo
model. Without arguments, the demo model tells a story. Behind MODEL, a pipe or a file on standard input is the prompt where no other is given; so it is where the prompt is -. The prompt is raw: control tokens written in it, such as </s>, count as such.

Ctrl-C ends the text and prints what there is; the exit code is then 130.

Examples:
  mixtral run
  mixtral run "[INST] What is the capital of France? [/INST]"
  mixtral run mixtral-8x7b.Q4_K_M.gguf "Explain how neural networks learn:" -n 256 --temperature 0.7 --top-p 0.9
  mixtral run mixtral-8x7b.Q4_K_M.gguf --json < prompt.txt`),
    )
    .action((first: string | undefined, second: string | undefined, flags: RunFlags) => run(command, first, second, flags))
}

async function run(command: Command, first: string | undefined, second: string | undefined, flags: RunFlags): Promise<void> {
  const isModel = first !== undefined && (second !== undefined || isModelArgument(first))
  const model = isModel ? first : 'demo'
  const argument = isModel ? second : first
  // without arguments nothing is read: a program that starts this one may leave its pipe open, and silent
  const piped = async () => (isModel ? pipedText() : undefined)
  const given = argument === undefined ? await piped() : await textOrStdin(argument)
  const hasUnread = first === undefined ? watchUnread() : () => false
  if (given === undefined && model !== 'demo') {
    await findLocalModel(model) // a path without a file is the more urgent error
    command.error(`no text to continue, expected a prompt or a pipe: mixtral run ${model} "Once upon a time"`)
  }
  const prompt = given ?? demoPrompt
  const { seed } = checkSamplerOptions({}).settings // a random one, reported even if the text is interrupted
  const options = generationOptions({ seed, ...(given === undefined && demoFlags), ...flags })
  await checkBeforeLoading(options)
  // Without a prompt of the user, the answer alone would be half a text.
  const begun = given === undefined ? prompt : ''
  const write = flags.json ? () => {} : streamedTo(process.stdout, begun)

  await withModel(model, flags, async (loaded) => {
    if (begun && !flags.json) process.stdout.write(colorsOf(process.stdout).bold(begun))
    const answer = await receive((all) => loaded.stream(prompt, all), options, write, flags.json === true)
    const { result, text } = answer
    if (flags.json) {
      const rates = result && speeds(result)
      process.stdout.write(
        jsonLine({
          model,
          prompt,
          text,
          tokens: answer.ids,
          ...(options.logprobs !== undefined && { logprobs: answer.logprobs }),
          finish_reason: result?.finishReason ?? 'interrupted',
          seed: options.seed,
          prompt_tokens: result?.promptTokens ?? loaded.tokenizer.encodePrompt(prompt).length,
          ...(result && { drafted_tokens: result.draftedTokens, accepted_tokens: result.acceptedTokens }),
          prefill_tokens_per_second: rates?.prefill,
          decode_tokens_per_second: rates ? rates.decode : (answer.ids.length - 1) / answer.seconds,
          load_seconds: loaded.loadSeconds,
          ...(loaded.adapters.length > 0 && { adapters: loaded.adapters.map(({ path, scale }) => ({ path, scale })) }),
          kv: loaded.memory.kvFormat,
          memory_bytes: loaded.memory.totalBytes,
          experts_in_memory: loaded.memory.expertSlots,
          experts: loaded.memory.experts,
          ...expertFields(result?.experts, result ? result.promptTokens - result.reusedTokens + result.ids.length : 0),
          threads: loaded.threads,
          kernels: loaded.kernels,
        }),
      )
    } else {
      if (!text.endsWith('\n')) write('\n')
      showLogprobs(answer)
      summarize(answer, loaded.loadSeconds)
    }
    if (!flags.json && hasUnread()) say('standard input was not read; as a prompt: mixtral run demo')
    if (!result) throw new MixtralError('ABORTED', 'interrupted')
  })
}
