// The `mixtral` program: its list of commands. Each is in a file of its own, imported when the command is called, so
// that start-up and `--help` stay fast. Owns the form of usage errors; knows no command's options.

import type { Command } from 'commander'
import { packageVersion } from '../server/packageVersion.js'
import { wrapped } from './helpText.js'
import { complain } from './layout.js'
import { inOneVoice, PlainCommand } from './usageErrors.js'

type Configure = (command: Command) => void

const commands: readonly (readonly [name: string, summary: string, load: () => Promise<Configure>])[] = [
  ['run', 'generate text from a prompt', async () => (await import('./run.js')).configureRun],
  ['chat', 'talk to a model', async () => (await import('./chat.js')).configureChat],
  ['serve', 'answer over HTTP: the APIs of OpenAI, Ollama and llama-server', async () => (await import('./serve.js')).configureServe],
  ['batch', 'answer a file of requests, and check results', async () => (await import('./batch.js')).configureBatch],
  ['health', 'ask whether a server answers', async () => (await import('./health.js')).configureHealth],
  ['pull', 'download a model', async () => (await import('./pull.js')).configurePull],
  ['list', 'list the models on this machine', async () => (await import('./list.js')).configureList],
  ['rm', 'delete a downloaded model', async () => (await import('./rm.js')).configureRm],
  ['show', 'show the template, parameters, system message and license of a model', async () => (await import('./show.js')).configureShow],
  ['inspect', 'show what is in a GGUF file and what it needs to run', async () => (await import('./inspect.js')).configureInspect],
  ['tokenize', 'show token ids and pieces of a text', async () => (await import('./tokenize.js')).configureTokenize],
  ['logits', 'write the logits of a token sequence to a file', async () => (await import('./logits.js')).configureLogits],
  ['trace', 'write intermediate tensors of a forward pass to files', async () => (await import('./trace.js')).configureTrace],
  [
    'perplexity',
    'measure how well a model predicts a text, alone or beside another',
    async () => (await import('./perplexity.js')).configurePerplexity,
  ],
  ['eval', 'measure how often a model answers a benchmark right', async () => (await import('./eval.js')).configureEval],
  ['experts', "count what a model's experts do on texts", async () => (await import('./experts.js')).configureExperts],
  ['imatrix', 'find which weights matter for a text, for quantize', async () => (await import('./imatrix.js')).configureImatrix],
  [
    'quantize',
    'write a model with smaller weights, another layout or other shards',
    async () => (await import('./quantize.js')).configureQuantize,
  ],
  ['convert', 'make a GGUF file of a Hugging Face checkpoint', async () => (await import('./convert.js')).configureConvert],
  ['verify', 'check that this machine computes a model right', async () => (await import('./verify.js')).configureVerify],
  ['bench', 'measure prefill and decode speed', async () => (await import('./bench.js')).configureBench],
]

/** The program, ready for `parseAsync`. It throws CommanderError instead of exiting. */
export function createProgram(): Command {
  const program = new PlainCommand('mixtral')
    .description('Runs Mixtral mixture-of-experts models on CPUs.')
    .version(packageVersion(), '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError(false)
    .configureHelp({ subcommandTerm: (command) => command.name(), showGlobalOptions: false, minWidthToWrap: 20 })
    .configureOutput({ outputError: (message) => complain(inOneVoice(message)) })
    .addHelpText(
      'after',
      wrapped(`
MODEL is "demo", the small model that ships with this package; the path of a GGUF file, any shard of a sharded one; an Ollama name such as
mixtral:8x7b; hf:owner/repo/file.gguf or hf:owner/repo:Q4_K_M; or an https address. A command that runs a model downloads it if it is not here.

Examples:
  mixtral run                                       the demo model tells a story
  mixtral run mixtral-8x7b.Q4_K_M.gguf "The moon"   another model, another prompt
  mixtral chat                                      talk to the demo model
  mixtral run --help                                all options of a command`),
    )
  const loaders = new Map<string, () => Promise<Configure>>()
  for (const [name, summary, load] of commands) {
    program
      .command(name)
      .description(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`)
      .summary(summary)
    loaders.set(name, load)
  }
  const configured = async (command: Command) => {
    const configure = await loaders.get(command.name())?.()
    configure?.(command)
    return command
  }
  program
    .command('help')
    .argument('[command]')
    .summary('show help of a command')
    .description('Shows help of a command.')
    .action(async (name?: string) => {
      if (name === undefined) return program.outputHelp()
      const command = program.commands.find((one) => one.name() === name)
      if (!command) program.failUnknownCommand(name)
      else (await configured(command)).outputHelp()
    })
  return program.hook('preSubcommand', async (_, command) => void (await configured(command)))
}
