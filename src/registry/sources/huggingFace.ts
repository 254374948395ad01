// Hugging Face as a source: finds the files of a model in a repository, with sizes and hashes. Owns the addresses, the
// settings of huggingface_hub that are honored here, by variables or files (the token and the offline switch), and the
// meaning of refusals; downloads no weights.

import path from 'node:path'
import { MixtralError, quoted, shown } from '../../base/errors.js'
import { readText } from '../../base/files/optionalFiles.js'
import { limits } from '../../base/limits.js'
import { didYouMean } from '../../base/nearNames.js'
import { type HuggingFaceName, isDeep, isLoopback, isStoredFile, repositoryText } from '../names/modelName.js'
import { chooseFiles } from '../names/repositoryFiles.js'
import type { OwnStore } from '../stores/ownStore.js'
import { hubHome } from '../stores/storeFolders.js'
import { type Credentials, ExchangeError, exchange, readBody } from '../transfer/exchange.js'
import { withPatience } from '../transfer/patience.js'
import type { RemoteModel, StoreFile } from './remoteModel.js'

const LARGEST_ANSWER = limits.fileList.most
const LONGEST_TOKEN = 10_000
const OFFLINE = ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE']
/** Longest wait, silent or not, while near names are fetched: suggestions are worth no longer wait. */
const NEAR_STALL_MS = 5000
const REPOSITORY = /^[\w.-]{1,96}\/[\w.-]{1,96}$/

interface RepositoryFile {
  readonly file: string
  readonly bytes: number
  readonly sha256: string | undefined
  /** Of a file that the hub keeps in git itself. */
  readonly gitHash: string | undefined
}

interface Lfs {
  readonly sha256?: unknown
  readonly size?: unknown
}

/**
 * Asks the hub for the files of a model. Throws `IO` for a repository or file that does not exist, with near names, or
 * that needs a token, or where `HF_HUB_OFFLINE` forbids to ask.
 */
export async function findHuggingFaceModel(name: HuggingFaceName, store: OwnStore, signal?: AbortSignal): Promise<RemoteModel> {
  const endpoint = (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '')
  const isSafe = URL.canParse(endpoint) && (/^https:/.test(endpoint) || (/^http:/.test(endpoint) && isLoopback(new URL(endpoint).host)))
  if (!isSafe) {
    throw new MixtralError('IO', `HF_ENDPOINT is ${quoted(endpoint)}, expected an https address, or http on this machine`)
  }
  refuseOffline(`hf:${repositoryText(name)}`)
  const credentials = await tokenFor(new URL(endpoint))
  const repository = `${endpoint}/api/models/${name.owner}/${name.repo}/revision/${name.revision}?blobs=true`
  const where = `hf:${repositoryText(name)}`
  const answer = await withPatience(where, signal, () =>
    exchange({ address: repository, credentials, signal }, (_, chunks) =>
      readBody(chunks, LARGEST_ANSWER, `the list of files of ${where}`),
    ),
  ).catch(async (error: unknown) => {
    throw explained(error, where, credentials.hint, isAbsent(error) ? await nearRepositories(name, endpoint, credentials, signal) : [])
  })
  const { commit, files } = parseRepository(answer, where)
  const chosen = chooseFiles([...files.keys()], name)
  const folder = store.folderOf(name)
  const weights = chosen.map((file): StoreFile => {
    const { bytes, sha256, gitHash } = files.get(file)!
    if (sha256 === undefined && bytes > limits.unhashedFile.most) {
      throw new MixtralError('IO', `${where}/${file}: the hub names no SHA-256 of its ${bytes} bytes, as it does for any file of that size`)
    }
    const address = `${endpoint}/${name.owner}/${name.repo}/resolve/${commit}/${file.split('/').map(encodeURIComponent).join('/')}`
    const hashes = { sha256, gitHash, version: `commit ${commit}` }
    return { address, name: `${where}/${file}`, bytes, ...hashes, credentials, target: path.join(folder, file) }
  })
  return { name, weights, extras: [] }
}

/** The token of `HF_TOKEN`, or that of `hf auth login`, over https or to this machine only. */
async function tokenFor({ origin, protocol, host }: URL): Promise<Credentials> {
  const { token, from } = await hubToken()
  const header = token && (protocol === 'https:' || isLoopback(host)) ? `Bearer ${token}` : undefined
  const hint = token ? `${from} does not open it: accept its terms at huggingface.co` : 'it may need a token in HF_TOKEN'
  return { origin, header: () => header, renew: async () => false, hint }
}

function parseRepository(answer: string, where: string): { commit: string; files: Map<string, RepositoryFile> } {
  const refuse = (problem: string): never => {
    throw new MixtralError('IO', `the answer of Hugging Face about ${where} is wrong: ${problem}`)
  }
  let repository: { sha?: unknown; siblings?: unknown } | null
  try {
    repository = JSON.parse(answer)
  } catch {
    return refuse('it is not JSON')
  }
  const { sha, siblings } = repository ?? {}
  if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha)) return refuse('it has no commit')
  if (!Array.isArray(siblings)) return refuse('it has no list of files')
  const files = new Map<string, RepositoryFile>()
  for (const sibling of siblings as { rfilename?: unknown; size?: unknown; blobId?: unknown; lfs?: Lfs }[]) {
    const file = sibling?.rfilename
    // Files that cannot become a path in our folder are ignored, as in the cache.
    if (typeof file !== 'string' || !isStoredFile(file) || isDeep(file)) continue
    const bytes = sibling.lfs?.size ?? sibling.size
    const sha256 = sibling.lfs?.sha256
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
      return refuse(`the size of ${quoted(file)} is ${shown(bytes)}`)
    if (sha256 !== undefined && !(typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256)))
      return refuse(`the SHA-256 of ${quoted(file)} is ${shown(sha256)}`)
    // The name in git of a file that is kept elsewhere is that of a pointer to it.
    const gitHash = !sibling.lfs && typeof sibling.blobId === 'string' && /^[0-9a-f]{40}$/.test(sibling.blobId) ? sibling.blobId : undefined
    files.set(file, { file, bytes, sha256, gitHash })
  }
  return { commit: sha, files }
}

/** Whether there is no such repository. The hub answers the same for a private one. */
function isAbsent(error: unknown): boolean {
  return error instanceof ExchangeError && (error.status === 401 || error.status === 404)
}

/** The owner's repositories and those of the same name; empty unless the hub answers soon. */
async function nearRepositories(
  { owner, repo }: HuggingFaceName,
  endpoint: string,
  credentials: Credentials,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const ask = async (query: string): Promise<string[]> => {
    const address = `${endpoint}/api/models?filter=gguf&${query}`
    const answer = await exchange({ address, credentials, signal, stallMs: NEAR_STALL_MS, totalMs: NEAR_STALL_MS }, (_, chunks) =>
      readBody(chunks, LARGEST_ANSWER, 'the list of repositories'),
    )
    const ids = (JSON.parse(answer) as { id?: unknown }[]).map(({ id }) => id)
    return ids.filter((id) => typeof id === 'string' && REPOSITORY.test(id)) as string[]
  }
  const answers = await Promise.allSettled([ask(`author=${owner}&limit=1000`), ask(`search=${repo}&limit=100`)])
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
}

function explained(error: unknown, where: string, hint: string | undefined, repositories: readonly string[]): unknown {
  if (!(error instanceof ExchangeError)) return error
  const reasons: Record<number, string> = {
    401: `does not exist, or ${hint}`,
    403: `is not open to you: ${hint}`,
    404: 'does not exist, or not in this revision',
  }
  const reason = reasons[error.status]
  const near = didYouMean(
    where.replace(/@.*$/, ''),
    repositories.map((id) => `hf:${id}`),
  )
  return reason ? new MixtralError('IO', `${where} ${reason}${near}`, { cause: error }) : error
}

/** A token and where it is from: `HF_TOKEN`, its older name, or the file that `hf auth login` writes. */
async function hubToken(): Promise<{ readonly token: string | undefined; readonly from: string }> {
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH } = process.env
  if (HF_TOKEN?.trim()) return { token: HF_TOKEN.trim(), from: 'HF_TOKEN' }
  if (HUGGING_FACE_HUB_TOKEN?.trim()) return { token: HUGGING_FACE_HUB_TOKEN.trim(), from: 'HUGGING_FACE_HUB_TOKEN' }
  const file = HF_TOKEN_PATH || path.join(hubHome(), 'token')
  const text = await readText(file, LONGEST_TOKEN).catch(() => undefined) // a file of another user
  return { token: text?.trim() || undefined, from: `the token in ${file}` }
}

/** Throws `IO` where a variable forbids to ask the hub. */
function refuseOffline(where: string): void {
  const set = OFFLINE.find((name) => /^(1|on|yes|true)$/i.test(process.env[name] ?? ''))
  if (set) throw new MixtralError('IO', `${where} is not on this machine, and ${set} is set: nothing is asked of the hub`)
}
