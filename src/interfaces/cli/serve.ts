// `mixtral serve`: a model behind HTTP, until a signal ends it. Owns its flags, what it says at the start, and the
// order of the end; what it answers belongs to the server.

import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { MixtralError, reasonOf } from '../../base/errors.js'
import { plainText } from '../../base/terminalText.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import type { ModelCatalog } from '../server/models/modelCatalog.js'
import { isLoopback } from '../server/security/hosts.js'
import { type ServeOptions, serve as startServer } from '../service/serve.js'
import { ANY_MODEL, addDebugFlag, addLoraFlag, addModelFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { colorsOf, jsonLine, say } from './layout.js'
import { nameOf, roomyPositions, withModel } from './loading.js'
import { type CatalogFlags, keepAlive, withCatalog } from './serveCatalog.js'

interface ServeFlags extends CatalogFlags {
  readonly host: string
  readonly port: number
  readonly name?: string
  readonly apiKey?: readonly string[]
  readonly apiKeyFile?: string
  readonly allowHost?: readonly string[]
  readonly allowOrigin?: readonly string[]
  readonly allowPull?: boolean
  readonly allowRegistry?: readonly string[]
  readonly files?: string
  readonly queue: number
  readonly grace: number
  readonly timeout?: number
  readonly log: boolean
}

const several = (value: string, earlier: readonly string[] = []) => [...earlier, value]

export function configureServe(command: Command): void {
  addDebugFlag(
    addLoraFlag(
      addModelFlags(command.argument('[model]', `${ANY_MODEL} (default: any model on this machine, loaded when it is asked for)`)),
    ),
  )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', 'port to listen on; 0 takes a free one', wholeNumber(0, 65_535), 8080)
    .option('--name <name>', "the model's name in requests (default: as it was given here)")
    .option('--parallel <n>', 'most answers that are written at one time (default: 8)', wholeNumber(1, 4096))
    .option(
      '--kv-tokens <n>',
      'tokens of the KV cache, which all share (default: a context for each answer, if no expert must leave memory for it)',
      wholeNumber(1, 2 ** 24),
    )
    .option('--models <names...>', 'without MODEL: the models, or files, that may be asked for (default: all on this machine)')
    .option(
      '--keep-alive <time>',
      'without MODEL: how long a model stays loaded that nobody uses, such as 30s, 10m, or -1 for ever (default: 5m)',
      keepAlive,
    )
    .option('--allow-pull', 'clients may pull, copy and delete models (default: only where no other machine reaches the server)')
    .option('--no-allow-pull', 'they may not, such as where a proxy brings requests from elsewhere')
    .option('--allow-registry <host>', "a registry that clients may pull from, beside Ollama's and Hugging Face's", several)
    .option('--files <folder>', 'keep files and batches of clients in a folder of their own (default: they are refused)')
    .option('--queue <n>', 'most requests that wait beside those that run', wholeNumber(0, 65_536), 64)
    .option('--api-key <key>', 'a key that requests must bring; may be given several times. Others may see it: better a file', several)
    .option('--api-key-file <file>', 'a file with a key on each line; lines that begin with # are comments')
    .option('--allow-host <name>', 'a name by which the server may be called, beside localhost and addresses', several)
    .option('--allow-origin <origin>', 'a page that may call, such as https://chat.example.org, beside those of this machine', several)
    .option('--timeout <seconds>', 'seconds that a request may take in all (default: no limit)', wholeNumber(1, 1_000_000))
    .option('--grace <seconds>', 'seconds that running requests get at the end', wholeNumber(0, 86_400), 30)
    .option('--no-log', 'do not write a line of JSON on stdout for each request')
    .addHelpText(
      'after',
      wrapped(`
Speaks the APIs of OpenAI, Ollama and llama-server, and Anthropic's messages. A MODEL that is not on this machine is downloaded first. Without MODEL, requests
name the model, which is loaded for them, and unloaded when nobody has used it for a while, or another one needs the memory; --ram is what all may take together.
Each request is a line of JSON on stdout, without a word of its prompt. Ctrl-C or SIGTERM lets running requests end, as long as --grace says; the second one
ends at once. With --files, clients may send files of requests, which are answered beside all else (/v1/files, /v1/batches). Keys may also be in MIXTRAL_API_KEY, comma-separated.

Examples:
  mixtral serve
  mixtral serve --models mixtral:8x7b mixtral:8x22b --keep-alive 1h --port 11434
  mixtral serve mixtral:8x7b --port 11434 --parallel 4
  mixtral serve mixtral-8x7b.Q4_K_M.gguf --host 0.0.0.0 --api-key-file keys.txt --allow-host box.example.org
  curl http://127.0.0.1:8080/v1/chat/completions -d '{"messages":[{"role":"user","content":"Hello"}]}'`),
    )
    .action(run)
}

async function run(model: string | undefined, flags: ServeFlags): Promise<void> {
  const options = optionsOf(flags)
  if (model === undefined) {
    const foreign = flags.name !== undefined && '--name is the name of a MODEL, and there is none'
    if (foreign) throw new MixtralError('OPTION', foreign)
    if (flags.lora) throw new MixtralError('OPTION', '--lora goes with a MODEL, and there is none')
    await withCatalog(flags, (catalog, about) => untilSignal(catalog, options, flags.host, about))
    return
  }
  const [foreign] = (['models', 'keepAlive', 'allowPull', 'allowRegistry'] as const).filter((flag) => flags[flag] !== undefined)
  if (foreign !== undefined) {
    const spelled = foreign.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    throw new MixtralError('OPTION', `--${spelled} goes without MODEL: one that is given stays loaded, and is the only one`)
  }
  const { parallel, kvTokens } = flags
  const name = flags.name ?? nameOf(model)
  const positions = kvTokens ?? (await roomyPositions(model, flags))
  const load = { ...flags, ...(parallel !== undefined && { sequences: parallel }), ...(positions !== undefined && { kvTokens: positions }) }
  await withModel(model, load, async (loaded) => {
    const { sequences, kvTokens: places } = loaded.status()
    const about = {
      what: name ?? model,
      how: `${sequences} answers at one time, each of up to ${loaded.contextLength} tokens, ${places} in all`,
    }
    await untilSignal(loaded, { ...options, ...(name !== undefined && { name }) }, flags.host, about)
  })
}

function optionsOf(flags: ServeFlags): ServeOptions {
  const { host, port, queue, grace, timeout, allowHost = [], allowOrigin = [], allowPull, allowRegistry = [], files } = flags
  const apiKeys = keysOf(flags)
  return {
    ...{ host, port, apiKeys, maxQueue: queue, graceSeconds: grace, allowedHosts: allowHost, allowedOrigins: allowOrigin },
    ...{ allowedRegistries: allowRegistry, ...(allowPull !== undefined && { allowPull }) },
    ...(files !== undefined && { files }),
    ...(timeout !== undefined && { timeoutSeconds: timeout }),
    ...(flags.log && { log: lineLog() }),
  }
}

/** Writes a line for each request, as long as somebody reads them: a server goes on without. */
function lineLog(): NonNullable<ServeOptions['log']> {
  const { stdout } = process
  let isRead = true
  stdout.removeAllListeners('error') // by which the command would end
  stdout.on('error', ({ message }) => {
    if (isRead) say(`WARNING: requests are not logged any more: standard output cannot be written: ${message}`)
    isRead = false
  })
  return (entry) => void (isRead && stdout.write(jsonLine(entry)))
}

/** Serves until a signal comes, and lets running requests end. */
async function untilSignal(
  models: MixtralModel | ModelCatalog,
  options: ServeOptions,
  host: string,
  { what, how }: { readonly what: string; readonly how: string },
): Promise<void> {
  const server = await startServer(models, options)
  const interrupt = onInterrupt()
  say(`${what} at ${server.url}: ${how}`)
  if (!isLoopback(host) && options.apiKeys?.length === 0) {
    const warning = `WARNING: everybody who reaches ${host} can use this server: no key is asked for (--api-key-file)`
    process.stderr.write(`${colorsOf(process.stderr).yellow(plainText(warning))}\n`)
  }
  await new Promise<void>((resolve) => interrupt.signal.addEventListener('abort', () => resolve(), { once: true }))
  say('stopping: running requests end first; once more ends at once')
  await server.close()
}

function keysOf({ apiKey = [], apiKeyFile }: ServeFlags): readonly string[] {
  const lines =
    apiKeyFile === undefined
      ? []
      : readKeys(apiKeyFile)
          .split('\n')
          .filter((line) => !line.startsWith('#'))
  const all = [...apiKey, ...lines, ...(process.env.MIXTRAL_API_KEY ?? '').split(',')].map((key) => key.trim())
  const keys = all.filter((key) => key !== '')
  // a file without a key must not open the server
  if (apiKeyFile !== undefined && keys.length === 0) throw new MixtralError('OPTION', `no key in ${apiKeyFile}, expected one on each line`)
  return keys
}

function readKeys(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new MixtralError('IO', `cannot read ${file}: ${reasonOf(error)}`, { cause: error })
  }
}
