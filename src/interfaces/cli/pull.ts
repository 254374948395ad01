// `mixtral pull`: downloads a model into our store, or the part of it that is missing.

import type { Command } from 'commander'
import { bringModel } from './bringing.js'
import { addOutputFlags, type OutputFlags } from './flags.js'
import { wrapped } from './helpText.js'
import { jsonLine, textFor } from './layout.js'

export function configurePull(command: Command): void {
  addOutputFlags(command.argument('<name>', 'an Ollama name, hf:owner/repo/file.gguf, hf:owner/repo:Q4_K_M, or an https address'))
    .addHelpText(
      'after',
      wrapped(`
A download resumes where an earlier one ended, whatever ended it, and its SHA-256 is checked where the source names one, as Ollama's registry and
Hugging Face do. Where a server names neither hash nor version, a download begins anew each time. A model that Ollama or huggingface_hub has on this
machine is used where it is. Downloads go to MIXTRAL_HOME, or to the platform's cache folder. HF_TOKEN is the token for gated and private models.

Examples:
  mixtral pull mixtral:8x7b-instruct-v0.1-q4_K_M
  mixtral pull hf:TheBloke/Mixtral-8x7B-Instruct-v0.1-GGUF:Q4_K_M
  mixtral pull https://example.com/mixtral-8x22b-00001-of-00003.gguf --json`),
    )
    .action(pull)
}

async function pull(name: string, { json }: OutputFlags): Promise<void> {
  let verified = true
  const onUnverified = () => {
    verified = false
  }
  const { path, bytes, store, name: fullName } = await bringModel(name, { purpose: 'keeping', quiet: json === true, onUnverified })
  // Models of other programs are used as they are.
  const facts = { name: fullName, path, bytes, store, ...(store === 'mixtral' && { verified }) }
  process.stdout.write(json ? jsonLine(facts) : textFor(process.stdout, `${path}\n`))
}
