// The files of a Hugging Face repository that a name asks for: by the name of a file or by quantization, all shards of
// a set together, and both files of a PEFT adapter. Pure.

import { MixtralError } from '../../base/errors.js'
import { didYouMean, nearNames } from '../../base/nearNames.js'
import { firstShardPath, joinedName, shardPaths } from '../../format/gguf/shards.js'
import { type HuggingFaceName, isPeftFile, PEFT_CONFIG, PEFT_WEIGHTS, repositoryText } from './modelName.js'

const MOST_LISTED = 12

/**
 * The files of the model, first shard first, or of the adapter, among all `files` of a repository. An adapter in PEFT's
 * form is meant where its configuration is named, or where there is no GGUF file.
 * Throws `IO` if there is none, with near names; if there are several, with their names; and if a shard is missing.
 */
export function chooseFiles(files: readonly string[], name: HuggingFaceName): string[] {
  const where = `hf:${repositoryText(name)}`
  const fail = (problem: string): never => {
    throw new MixtralError('IO', `${where}: ${problem}`)
  }
  const adapters = files.filter((file) => isPeftFile(file) && shardsOf(file)[0] === file)
  if (name.file !== undefined && isPeftFile(name.file)) return choosePeft(files, name.file, fail)
  const firsts = [...new Set(files.filter(isModelFile).map(firstShardOf))]
  const parts = files.filter((file) => joinedName(file) !== undefined)
  const asked = name.file !== undefined && joinedName(name.file) !== undefined && files.includes(name.file) ? [name.file] : []
  const cut = asked.length > 0 ? asked : firsts.length === 0 || isOnlyCut(firsts, parts, name) ? parts : []
  if (cut.length > 0)
    fail(`it has its model in parts, which have to be joined: download ${listed(cut)}, join them with cat, and use the file`)
  if (firsts.length === 0) {
    if (adapters.includes(PEFT_CONFIG) && name.file === undefined && name.quantization === undefined)
      return choosePeft(files, PEFT_CONFIG, fail)
    fail(`it has no GGUF files${adapters.length > 0 ? `, only ${listed(adapters)}` : ''}`)
  }
  const found = name.file === undefined ? byQuantization(firsts, name.quantization, where) : firstShardOf(name.file)
  const shards = shardsOf(found)
  const all = new Set(files)
  const missing = shards.find((file) => !all.has(file))
  if (missing === undefined) return shards
  if (name.file === undefined || (shards.length > 1 && all.has(name.file))) return fail(`shard ${missing} is missing`)
  return fail(`it has no file ${name.file}${didYouMean(name.file, firsts) || `, only ${listed(firsts)}`}`)
}

/** Both files of an adapter. */
function choosePeft(files: readonly string[], config: string, fail: (problem: string) => never): string[] {
  const both = shardsOf(config)
  const missing = both.find((file) => !files.includes(file))
  if (missing === undefined) return both
  const others = files.filter((file) => isPeftFile(file) && file.endsWith(PEFT_CONFIG))
  if (missing === both[0]) return fail(`it has no file ${missing}${others.length > 0 ? `, only ${listed(others)}` : ''}`)
  return fail(`it has no file ${missing}: weights of an adapter are read from safetensors only`)
}

/** The files of each model that is complete, first shard first. Takes time by the number of files. */
export function completeModels(files: readonly string[]): string[][] {
  const all = new Set(files)
  if (!files.some(isModelFile)) return []
  return files
    .filter((file) => /\.gguf$/i.test(file) && firstShardOf(file) === file)
    .map(shardsOf)
    .filter((shards) => shards.every((shard) => all.has(shard)))
}

/** Whether a GGUF file is a language model's: repositories also have vision encoders and importance matrices. */
function isModelFile(file: string): boolean {
  return /\.gguf$/i.test(file) && !/(^|\/)mmproj|imatrix/i.test(file)
}

/** Whether what is asked for is there in parts only. */
function isOnlyCut(firsts: readonly string[], parts: readonly string[], { file, quantization }: HuggingFaceName): boolean {
  if (file !== undefined) return !firsts.includes(file) && parts.some((part) => joinedName(part) === file)
  if (quantization === undefined) return false
  return !firsts.some((first) => mentions(first, quantization)) && parts.some((part) => mentions(part, quantization))
}

function byQuantization(firsts: readonly string[], quantization: string | undefined, where: string): string {
  const matching = quantization === undefined ? firsts : firsts.filter((file) => mentions(file, quantization))
  if (matching.length === 1) return matching[0]!
  const known = [...new Set(firsts.flatMap((file) => quantizationOf(file) ?? []))]
  if (matching.length > 1) {
    const wish = quantization === undefined ? `${where}:${known[0] ?? 'Q4_K_M'} or ${where}/FILE` : `${where}/FILE`
    throw new MixtralError(
      'IO',
      `${where}: it has ${matching.length} models${quantization ? ` in ${quantization}` : ''}, expected ${wish}: ${listed(matching)}`,
    )
  }
  const near = nearNames(quantization!, known)
  throw new MixtralError(
    'IO',
    `${where}: it has no ${quantization}, only ${listed(near.length > 0 ? [...new Set([...near, ...known])] : known.length > 0 ? known : firsts)}`,
  )
}

/** The quantization in the name of a file, such as `Q4_K_M`; undefined if there is none. */
function quantizationOf(file: string): string | undefined {
  return /(?:^|[._/-])((?:I?Q\d\w*|T?Q\d_\d|B?F(?:16|32)|FP16|MXFP4))(?=[._/-]|$)/i.exec(file)?.[1]
}

/**
 * Whether a quantization is a whole word of a path: `Q4_K` is not one of `a.Q4_K_M.gguf`, nor `Q4_0` of `IQ4_0.gguf`.
 */
function mentions(file: string, quantization: string): boolean {
  const literal = quantization.replaceAll(/[^\w]/g, '\\$&')
  return new RegExp(`(^|[^a-z0-9])${literal}(?![a-z0-9_])`, 'i').test(file)
}

/**
 * The shards of the set that a file belongs to, with `/` on every platform; only the file if its name is none of a
 * set's. Of a PEFT adapter, configuration and weights.
 */
export function shardsOf(file: string): string[] {
  if (isPeftFile(file)) {
    const folder = file.replaceAll('\\', '/').replace(/[^/]*$/, '')
    return [folder + PEFT_CONFIG, folder + PEFT_WEIGHTS]
  }
  try {
    return shardPaths(file).map((shard) => shard.replaceAll('\\', '/'))
  } catch {
    return [file]
  }
}

/** The first of `shardsOf`, from the name alone: a repository may list names of many large sets. */
function firstShardOf(file: string): string {
  try {
    return firstShardPath(file).replaceAll('\\', '/')
  } catch {
    return file
  }
}

function listed(items: readonly string[]): string {
  return items.length > MOST_LISTED ? `${items.slice(0, MOST_LISTED).join(', ')} and ${items.length - MOST_LISTED} more` : items.join(', ')
}
