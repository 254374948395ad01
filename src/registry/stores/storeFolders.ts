// The folders of models on this machine: our own store, Ollama's, the Hugging Face cache. Owns the environment
// variables that move them; does not read the disk.

import os from 'node:os'
import path from 'node:path'

export interface StoreFolders {
  /** Our own: the only one that is ever written to. */
  readonly own: string
  /** Those of Ollama: the user's, and that of the Linux service. */
  readonly ollama: readonly string[]
  /** The cache of huggingface_hub. */
  readonly huggingFace: string
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The folders that `MIXTRAL_HOME`, `OLLAMA_MODELS`, `HF_HUB_CACHE`, its older name `HUGGINGFACE_HUB_CACHE` and
 * `HF_HOME` name, by default the usual ones of the platform. A user without a home folder has those in a temporary one.
 */
export function storeFolders(env: Environment = process.env, platform: string = process.platform, home = homeFolder()): StoreFolders {
  const cache = cacheFolder(env, platform, home)
  const ollamaAtHome = path.join(home, '.ollama', 'models')
  const ollama = platform === 'linux' ? [ollamaAtHome, '/usr/share/ollama/.ollama/models'] : [ollamaAtHome]
  return {
    own: path.resolve(env.MIXTRAL_HOME || path.join(cache, 'mixtral-wasm')),
    ollama: unquoted(env.OLLAMA_MODELS) ? [path.resolve(unquoted(env.OLLAMA_MODELS))] : ollama,
    huggingFace: path.resolve(expanded(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE, env, home) || path.join(hubHome(env, home), 'hub')),
  }
}

/** The folder of huggingface_hub, which is under ~/.cache on every platform. */
export function hubHome(env: Environment = process.env, home = homeFolder()): string {
  return expanded(env.HF_HOME, env, home) || path.join(env.XDG_CACHE_HOME || path.join(home, '.cache'), 'huggingface')
}

/**
 * A path with the home folder and variables in it, as huggingface_hub expands them. A variable that is not set stays.
 */
function expanded(given: string | undefined, env: Environment, home: string): string {
  const text = (given ?? '').replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced?: string, bare?: string) => env[braced ?? bare!] ?? whole)
  return text.replace(/^~(?=$|[\\/])/, () => home)
}

/** A value without the blanks and quotes around it, which Ollama takes off. */
function unquoted(value = ''): string {
  return value.trim().replace(/^["']+|["']+$/g, '')
}

/** The user's folder. A user of a container may have none. */
function homeFolder(): string {
  try {
    return os.homedir()
  } catch {
    return path.join(os.tmpdir(), `mixtral-wasm-${process.getuid?.() ?? 'user'}`)
  }
}

function cacheFolder(env: Environment, platform: string, home: string): string {
  if (platform === 'darwin') return path.join(home, 'Library', 'Caches')
  if (platform === 'win32') return env.LOCALAPPDATA || path.join(home, 'AppData', 'Local')
  return env.XDG_CACHE_HOME || path.join(home, '.cache')
}
