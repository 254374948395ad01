// The settings of huggingface_hub that are honored here, by variables or files: the token, and the offline switch.

import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { readText } from '../../base/files/optionalFiles.js'
import { hubHome } from '../stores/storeFolders.js'

const LONGEST_TOKEN = 10_000
const OFFLINE = ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE']

/** A token and where it is from: `HF_TOKEN`, its older name, or the file that `hf auth login` writes. */
export async function hubToken(): Promise<{ readonly token: string | undefined; readonly from: string }> {
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH } = process.env
  if (HF_TOKEN?.trim()) return { token: HF_TOKEN.trim(), from: 'HF_TOKEN' }
  if (HUGGING_FACE_HUB_TOKEN?.trim()) return { token: HUGGING_FACE_HUB_TOKEN.trim(), from: 'HUGGING_FACE_HUB_TOKEN' }
  const file = HF_TOKEN_PATH || path.join(hubHome(), 'token')
  const text = await readText(file, LONGEST_TOKEN).catch(() => undefined) // a file of another user
  return { token: text?.trim() || undefined, from: `the token in ${file}` }
}

/** Throws `IO` where a variable forbids to ask the hub. */
export function refuseOffline(where: string): void {
  const set = OFFLINE.find((name) => /^(1|on|yes|true)$/i.test(process.env[name] ?? ''))
  if (set) throw new MixtralError('IO', `${where} is not on this machine, and ${set} is set: nothing is asked of the hub`)
}
