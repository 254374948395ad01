// LoRA adapters on the command line: FILE or FILE:SCALE, by path or name, and what is told of them: the header of a
// file, and what merging has lost.

import { existsSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import type { MergedTensor } from '../../authoring/quantize/adapterMerge.js'
import { byteCount, weightCount } from '../../base/amounts.js'
import { MixtralError, quoted } from '../../base/errors.js'
import { didYouMean } from '../../base/nearNames.js'
import type { AdapterChoice } from '../../runtime/adapters/adapterSet.js'
import type { AdapterFacts } from '../inspect/adapterFacts.js'
import { columns } from './layout.js'

/**
 * Reads one more adapter of a list: a path or name, and how much of it counts, which is a number behind the last colon
 * unless there is a file of the whole name. No name of an adapter needs such a number: in `hf:owner/repo:Q8_0` there
 * are letters.
 */
export function adapterChoices(text: string, before: readonly AdapterChoice[] = []): AdapterChoice[] {
  const [, path, scale] = existsSync(text) ? [] : (/^(.+):([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)$/is.exec(text) ?? [])
  return [...before, path === undefined ? { path: text } : { path, scale: Number(scale) }]
}

/**
 * Throws `IO` for what names no adapter: no file, and nothing that a hub could have. A name of Ollama's is none, as its
 * registry has models: asking it for a file whose name was mistyped would only cost time. Throws `OPTION` where the
 * name of a file has something behind it that is no scale.
 */
export async function checkAdapterName(text: string): Promise<void> {
  if (existsSync(text) || text === 'demo' || /^(hf:|[a-z][a-z0-9+.-]*:\/\/)/i.test(text)) return
  const [, file = '', scale = ''] = /^(.+):([^:]*)$/s.exec(text) ?? []
  if (file && existsSync(file)) {
    throw new MixtralError('OPTION', `the scale of adapter ${quoted(file)} is ${quoted(scale)}, expected a number, such as 0.5`)
  }
  const others = await fs.readdir(path.dirname(text), { withFileTypes: true }).catch(() => [])
  const names = others.flatMap((entry) => (entry.isDirectory() || /\.gguf$/i.test(entry.name) ? [entry.name] : []))
  const near = didYouMean(path.basename(text), names)
  const expected = 'a GGUF file, a PEFT folder, a name that begins with hf:, or an https address'
  throw new MixtralError('IO', `no adapter ${quoted(text)}, expected ${expected}${near}`)
}

/** What merging has changed and lost, in one line. */
export function mergedText(merged: readonly MergedTensor[]): string {
  const weights = merged.reduce((sum, tensor) => sum + tensor.weights, 0)
  const rms = (of: 'change' | 'loss') => Math.sqrt(merged.reduce((sum, tensor) => sum + tensor[of] ** 2 * tensor.weights, 0) / weights)
  const share = ({ change, loss }: Pick<MergedTensor, 'change' | 'loss'>) => {
    const percent = (100 * loss) / change
    return `${percent < 10 ? percent.toPrecision(2) : percent.toFixed(0)} %`
  }
  const all = { change: rms('change'), loss: rms('loss') }
  const into = `merged into ${merged.length} ${merged.length === 1 ? 'tensor' : 'tensors'}`
  const changed = merged.filter(({ change }) => change > 0)
  if (changed.length === 0) return `${into}, which nothing changes: the products of all factors are 0, as before a training`
  const worst = changed.reduce((most, tensor) => (tensor.loss * most.change > most.loss * tensor.change ? tensor : most))
  const line = `${into}: changed by ${all.change.toPrecision(3)} (RMS), rounded with an error of ${all.loss.toPrecision(3)}`
  return `${line}, ${share(all)} of the change; most in ${quoted(worst.name)}, ${share(worst)}`
}

/** What an adapter changes, or why it cannot be applied: a title, and lines. */
export function adapterText({ alpha, matrices, refusal }: AdapterFacts): { readonly title: string; readonly body: string } {
  if (alpha === undefined) return { title: 'cannot be applied here', body: `${refusal}\n` }
  const rows = matrices.map(({ name, layers, experts, ranks, scales, types, weights, bytes }) => [
    name,
    String(layers),
    experts === undefined ? '' : String(experts),
    ranks.join(', '),
    scales.map((scale) => String(Number(scale.toPrecision(6)))).join(', '),
    types.join(', '),
    weightCount(weights),
    byteCount(bytes),
  ])
  const head = ['matrix', 'layers', 'experts', 'rank', 'scale', 'type', 'weights', 'bytes']
  return { title: `changes, with alpha ${Number(alpha.toPrecision(7))}`, body: columns([head, ...rows], [1, 2, 6, 7]) }
}
