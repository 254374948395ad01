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
 * The folders that `MIXTRAL_HOME`, `OLLAMA_MODELS`, `HF_HUB_CACHE` and `HF_HOME` name, by default the usual ones of the
 * platform.
 */
export function storeFolders(env: Environment = process.env, platform: string = process.platform, home = os.homedir()): StoreFolders {
  const cache = cacheFolder(env, platform, home)
  const ollamaAtHome = path.join(home, '.ollama', 'models')
  const ollama = platform === 'linux' ? [ollamaAtHome, '/usr/share/ollama/.ollama/models'] : [ollamaAtHome]
  // huggingface_hub has its cache under ~/.cache on every platform.
  const hubHome = env.HF_HOME || path.join(env.XDG_CACHE_HOME || path.join(home, '.cache'), 'huggingface')
  return {
    own: path.resolve(env.MIXTRAL_HOME || path.join(cache, 'mixtral-wasm')),
    ollama: env.OLLAMA_MODELS ? [path.resolve(env.OLLAMA_MODELS)] : ollama,
    huggingFace: path.resolve(env.HF_HUB_CACHE || path.join(hubHome, 'hub')),
  }
}

function cacheFolder(env: Environment, platform: string, home: string): string {
  if (platform === 'darwin') return path.join(home, 'Library', 'Caches')
  if (platform === 'win32') return env.LOCALAPPDATA || path.join(home, 'AppData', 'Local')
  return env.XDG_CACHE_HOME || path.join(home, '.cache')
}
