// The names of models: `demo`, a path, an Ollama name, `hf:` for Hugging Face, an address. Owns their grammar, the
// guarantee that no part of a parsed name leads out of a folder when it becomes part of a path, and the well-known
// ones, for suggestions. Reads no disk and no network.

import { checkText, MixtralError, quoted } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { plainLine } from '../../base/terminalText.js'
import { decoded, shownAddress, urlFile } from './urlName.js'

interface PathName {
  readonly kind: 'path'
  readonly path: string
}

/** `[host[:port]/][namespace/]model[:tag]`. */
export interface OllamaName {
  readonly kind: 'ollama'
  /** With the port, if there is one. */
  readonly host: string
  readonly namespace: string
  readonly model: string
  readonly tag: string
}

/** `hf:owner/repo[@revision]/file.gguf`, `hf:owner/repo[@revision][:quantization]`. */
export interface HuggingFaceName {
  readonly kind: 'huggingface'
  readonly owner: string
  readonly repo: string
  /** A branch, tag or commit. */
  readonly revision: string
  /** The file in the repository, folders included. `adapter_config.json` stands for a PEFT adapter and its weights. */
  readonly file?: string
  /** Such as `Q4_K_M`; with neither file nor quantization, the repository must hold just one model, or an adapter. */
  readonly quantization?: string
}

export interface UrlName {
  readonly kind: 'url'
  readonly url: string
}

export type RemoteName = OllamaName | HuggingFaceName | UrlName
export type ModelName = { readonly kind: 'demo' } | PathName | RemoteName

const OLLAMA_HOST = 'registry.ollama.ai'
const OLLAMA_NAMESPACE = 'library'
const OLLAMA_TAG = 'latest'
const REVISION = 'main'
const LONGEST_NAME = limits.modelName.most
const MOST_FOLDERS = limits.repositoryFolders.most

// The first character excludes `.`, `..` and flags.
const OLLAMA_PART = /^[a-z0-9_][\w.-]{0,79}$/i
const OLLAMA_NAMESPACE_PART = /^[a-z0-9_][\w-]{0,79}$/i
const HOST = /^([a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?)(:\d{1,5})?$/i
const HUGGING_FACE_PART = /^[a-z0-9_]([\w.-]{0,94}[a-z0-9_])?$/i

/**
 * Reads a name. A text that looks like a path is one, whether the file exists or not; any other without a prefix is an
 * Ollama name. Throws `IO`, saying which part is wrong and what would be right, and `OPTION` for what is no text.
 * @example
 * parseModelName('mixtral:8x7b')
 * // { kind: 'ollama', host: 'registry.ollama.ai', namespace: 'library', model: 'mixtral', tag: '8x7b' }
 */
export function parseModelName(text: string): ModelName {
  checkText("the model's name", text)
  if (text === 'demo') return { kind: 'demo' }
  const refuse = (problem: string): never => {
    // A query or a password may be a secret.
    const shown = text.includes('://') ? text.replace(/\?.*$/s, '?...').replace(/:\/\/.*@/s, '://...@') : text
    throw new MixtralError('IO', `${quoted(shown)} is no model name: ${problem}`)
  }
  if (text === '') refuse('it is empty')
  if (text.length > LONGEST_NAME) refuse(`it has ${text.length} characters, expected at most ${LONGEST_NAME}`)
  if (plainLine(text) !== text) refuse('it has control characters')
  const hub = /^hf:(\/\/)?(.*)$/s.exec(text)
  if (hub) return huggingFaceName(hub[2]!, refuse)
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return urlName(text, refuse)
  if (/^([./~]|[a-z]:[\\/])/i.test(text) || text.includes('\\') || /\.gguf$/i.test(text)) return { kind: 'path', path: text }
  return ollamaName(text, refuse)
}

/**
 * The name of a LoRA adapter: as that of a model, but a path in a repository of Hugging Face may also be the folder of
 * a PEFT adapter.
 */
export function adapterName(text: string): string {
  const [, folder] = /^(hf:(?:\/\/)?[^/:]+\/[^/:]+\/[^:]+?)\/?$/.exec(text) ?? []
  return folder === undefined || /\.gguf$/i.test(folder) || isPeftFile(folder) ? text : `${folder}/${PEFT_CONFIG}`
}

/** The shortest name that means the same. */
export function modelNameText(name: ModelName): string {
  switch (name.kind) {
    case 'demo':
      return 'demo'
    case 'path':
      return name.path
    case 'url':
      return shownAddress(name.url)
    case 'ollama': {
      const { host, namespace, model, tag } = name
      if (host !== OLLAMA_HOST) return `${host}/${namespace}/${model}:${tag}`
      return namespace === OLLAMA_NAMESPACE ? `${model}:${tag}` : `${namespace}/${model}:${tag}`
    }
    case 'huggingface': {
      const repository = `hf:${repositoryText(name)}`
      if (name.file !== undefined) return `${repository}/${name.file}`
      return name.quantization === undefined ? repository : `${repository}:${name.quantization}`
    }
  }
}

/** `owner/repo`, and the revision if it is not `main`. */
export function repositoryText({ owner, repo, revision }: HuggingFaceName): string {
  return `${owner}/${repo}${revision === REVISION ? '' : `@${revision}`}`
}

/** Whether a host, with or without a port, is this machine. Only there may a connection do without TLS. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host)
}

type Refuse = (problem: string) => never

function ollamaName(text: string, refuse: Refuse): OllamaName {
  if (text.includes('@')) refuse('a digest (@) cannot be asked for, expected [host/][namespace/]model[:tag]')
  const parts = text.split('/')
  const [model, tag = OLLAMA_TAG, ...more] = parts.pop()!.split(':') as [string, ...string[]]
  const namesHost = parts.length === 2 || (parts.length === 1 && (/[.:]/.test(parts[0]!) || parts[0] === 'localhost'))
  const host = namesHost ? parts.shift()! : OLLAMA_HOST
  const namespace = parts.shift() ?? OLLAMA_NAMESPACE
  if (parts.length > 0 || more.length > 0) refuse('expected [host/][namespace/]model[:tag]')
  if (!validHost(host)) refuse(`${quoted(host)} is not a host`)
  const checks: [what: string, part: string, valid: RegExp][] = [
    ['namespace', namespace, OLLAMA_NAMESPACE_PART],
    ['model', model, OLLAMA_PART],
    ['tag', tag, OLLAMA_PART],
  ]
  for (const [what, part, valid] of checks) {
    if (!valid.test(part)) refuse(`the ${what} is ${quoted(part)}, expected 1 to 80 letters, digits, - and _, inside a name also .`)
  }
  return { kind: 'ollama', host, namespace, model, tag }
}

/** Whether a text is a host that an address can have, and the same one: `300.1.1.1` is none, `0x7f.1` another. */
function validHost(host: string): boolean {
  const [, name, port = ''] = HOST.exec(host) ?? []
  if (name === undefined || name.includes('..') || port === ':0' || !URL.canParse(`https://${host}`)) return false
  return new URL(`https://${host}`).hostname === name.toLowerCase()
}

function huggingFaceName(text: string, refuse: Refuse): HuggingFaceName {
  const expected = 'expected hf:owner/repo/file.gguf or hf:owner/repo:Q4_K_M, with @revision after repo if need be'
  const match = /^([^/:@]*)\/([^/:@]*)(?:@([^/:@]*))?(?:\/([^:]*)|:([^/:@]*))?$/.exec(text)
  if (!match) return refuse(expected)
  const [, owner, repo, revision = REVISION, file, quantization] = match
  const checks: [what: string, part: string | undefined][] = [
    ['owner', owner],
    ['repository', repo],
    ['revision', revision],
    ['quantization', quantization],
  ]
  for (const [what, part] of checks) {
    if (part === undefined) continue
    if (!HUGGING_FACE_PART.test(part) || part.includes('..')) {
      refuse(`the ${what} is ${quoted(part)}, expected letters, digits, -, _ and single dots; ${expected}`)
    }
  }
  if (file !== undefined && !isSafeFile(file) && !(isStoredFile(file) && file.endsWith(PEFT_CONFIG)))
    refuse(`the file is ${quoted(file)}, expected the path of a .gguf file in the repository`)
  if (file !== undefined && isDeep(file)) refuse(`the file is in ${file.split('/').length - 1} folders, expected at most ${MOST_FOLDERS}`)
  return {
    kind: 'huggingface',
    owner: owner!,
    repo: repo!,
    revision,
    ...(file !== undefined && { file }),
    ...(quantization !== undefined && { quantization }),
  }
}

/**
 * Whether a path in a repository is a valid path on every platform, stays inside its folder, and can be no file that
 * the store makes beside a model: a lock or draft has a `~`, a record or partial file ends in `.gguf.` and more.
 */
export function isSafeFile(file: string): boolean {
  const folders = file.split('/')
  const name = folders.pop()!
  return isSafePart(name) && /\.gguf$/i.test(name) && folders.every((part) => isSafePart(part) && !/\.gguf\./i.test(part))
}

/** Whether a file of a repository is in more folders than the store looks into. */
export function isDeep(file: string): boolean {
  return file.split('/').length - 1 > MOST_FOLDERS
}

/** The files of a PEFT adapter, as PEFT names them, in a folder of their own. */
export const PEFT_CONFIG = 'adapter_config.json'
export const PEFT_WEIGHTS = 'adapter_model.safetensors'

/** Whether a path is that of a file of a PEFT adapter. */
export function isPeftFile(file: string): boolean {
  return /(^|[\\/])(adapter_config\.json|adapter_model\.safetensors)$/.test(file)
}

/** Whether a path in a repository is one that the store keeps: of a model, or of a PEFT adapter. */
export function isStoredFile(file: string): boolean {
  const folders = file.split('/')
  const name = folders.pop()!
  return (
    isSafeFile(file) ||
    ([PEFT_CONFIG, PEFT_WEIGHTS].includes(name) && folders.every((part) => isSafePart(part) && !/\.(gguf|json|safetensors)\./i.test(part)))
  )
}

/** Besides what a terminal obeys and `~`, the characters and names that Windows does not allow are refused. */
function isSafePart(part: string): boolean {
  const isDevice = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(part)
  return plainLine(part) === part && /^[^\\:*?"<>|~]{1,200}$/.test(part) && !/^\.+$|[. ]$/.test(part) && !isDevice
}

function urlName(text: string, refuse: Refuse): ModelName {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return refuse('the address cannot be read')
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.host))) {
    refuse(`${url.protocol}// is not supported, expected https:// (http:// on this machine only), hf: or an Ollama name`)
  }
  // The host becomes the name of a folder, so it must not be `..`. A dot at its end only marks a fully qualified name.
  if (/^\.|\.\./.test(url.host)) refuse(`${quoted(url.host)} is not a host`)
  if (url.username || url.password) refuse('credentials do not belong in an address')
  url.hash = ''
  const hub = /^\/([^/]+)\/([^/]+)\/(?:resolve|blob|raw)\/([^/]+)\/(.+)$/.exec(url.pathname)
  if (hub && /^(www\.)?(huggingface\.co|hf\.co)$/.test(url.host)) {
    return huggingFaceName(`${hub[1]}/${hub[2]}@${hub[3]}/${decoded(hub[4]!)}`, refuse)
  }
  if (!isSafeFile(urlFile(url))) refuse('expected an address whose path ends with the name of a .gguf file')
  return { kind: 'url', url: url.href }
}

/** Mixtral models and their tags at registry.ollama.ai, which offers no list of its models. */
export const wellKnownNames: readonly string[] = [
  'demo',
  ...['latest', '8x7b', '8x22b', 'instruct', 'text', 'v0.1', 'v0.1-instruct'].map((tag) => `mixtral:${tag}`),
  ...['8x7b-instruct-v0.1', '8x7b-text-v0.1', '8x22b-instruct-v0.1', '8x22b-text-v0.1'].flatMap((base) =>
    [
      'q2_K',
      'q3_K_S',
      'q3_K_M',
      'q3_K_L',
      'q4_0',
      'q4_1',
      'q4_K_S',
      'q4_K_M',
      'q5_0',
      'q5_1',
      'q5_K_S',
      'q5_K_M',
      'q6_K',
      'q8_0',
      'fp16',
    ].map((quantization) => `mixtral:${base}-${quantization}`),
  ),
  'dolphin-mixtral:latest',
  'dolphin-mixtral:8x7b',
  'dolphin-mixtral:8x22b',
  'nous-hermes2-mixtral:latest',
  'nous-hermes2-mixtral:8x7b',
]
