// What an adapter becomes as a GGUF file: metadata and tensors as llama.cpp's convert_lora_to_gguf.py writes them. Owns
// how modules of different scales and ranks share the one alpha of such a file, and how experts apart become one
// tensor.

import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import type { GgufEntry } from '../../format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../format/gguf/ggmlType.js'
import type { ProducedTensor } from '../../format/gguf/writer.js'
import { type AdaptedRole, type Adapter, type AdapterBase, isExpertRole } from '../../runtime/adapters/adapter.js'
import { type Factor, type LowRank, valuesOf } from '../../runtime/adapters/lowRank.js'
import { expertRoles, layerRoles, shapeOf, tensorName } from '../../runtime/weights/roles.js'
import { convertElements, type ElementType } from './elementType.js'

export interface AdapterPlan {
  readonly alpha: number
  readonly metadata: readonly GgufEntry[]
  readonly tensors: readonly ProducedTensor[]
  /** Numbers in all factors. */
  readonly weights: number
  readonly notes: readonly string[]
}

/** A matrix that changes, or those of all experts of a layer. */
interface Group {
  readonly name: string
  readonly role: AdaptedRole
  /** By expert; undefined for those that do not change. */
  readonly members: (LowRank | undefined)[]
}

const order: readonly string[] = [...layerRoles, ...expertRoles]

/** Throws `OPTION` for numbers that do not fit the wanted type. */
export function planAdapter(
  adapter: Adapter,
  base: AdapterBase,
  wanted: ElementType | undefined,
  baseName: string | undefined,
): AdapterPlan {
  const groups = groupsOf(adapter, base)
  const alpha = commonAlpha(groups)
  const notes: string[] = []
  const scaled = groups.filter((group) => group.members.some((member) => member && factorOf(member, group, alpha) !== 1))
  if (scaled.length > 0) {
    notes.push(
      `a GGUF adapter has one alpha, ${alpha} here; the factors B of ${scaled.length} of ${groups.length} matrices have their scale in them`,
    )
  }
  const padded = groups.filter(({ members }) => members.some((member) => member?.rank !== members.find((one) => one)?.rank))
  if (padded.length > 0)
    notes.push(`experts of ${padded.length} matrices have different ranks, or no change: zeros stand for what is missing`)
  const tensors = groups.flatMap((group) => tensorsOf(group, base, wanted ?? typeOf(group), alpha))
  const weights = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)
  return { alpha, metadata: metadataOf(adapter, alpha, baseName), tensors, weights, notes }
}

function groupsOf({ changes }: Adapter, { experts }: AdapterBase): Group[] {
  const groups = new Map<string, Group>()
  const sorted = changes.toSorted((a, b) => a.layer - b.layer || order.indexOf(a.role) - order.indexOf(b.role))
  for (const { role, layer, expert, lowRank } of sorted) {
    const name = tensorName(role, layer)
    const group = groups.get(name) ?? {
      name,
      role,
      members: new Array<LowRank | undefined>(isExpertRole(role) ? experts : 1).fill(undefined),
    }
    group.members[expert ?? 0] = lowRank
    groups.set(name, group)
  }
  return [...groups.values()]
}

const rankOf = ({ members }: Group) => Math.max(...members.map((member) => member?.rank ?? 0))

/** The alpha that gives a matrix its scale, at the rank of its tensor; undefined where float32 does not hold it. */
function alphaOf({ scale }: LowRank, group: Group): number | undefined {
  const alpha = Math.fround(scale * rankOf(group))
  return Math.abs(alpha) >= LEAST_NORMAL && Math.abs(alpha) < Number.POSITIVE_INFINITY ? alpha : undefined
}

/** The least float32 with all its digits. */
const LEAST_NORMAL = 2 ** -126

/** The alpha of most matrices; where float32 holds none of them, that of a scale of 1. */
function commonAlpha(groups: readonly Group[]): number {
  const counts = new Map<number, number>()
  for (const group of groups) {
    for (const member of group.members) {
      const alpha = member && alphaOf(member, group)
      if (alpha !== undefined) counts.set(alpha, (counts.get(alpha) ?? 0) + 1)
    }
  }
  return [...counts].reduce((best, next) => (next[1] > best[1] ? next : best), [rankOf(groups[0]!), 0])[0]
}

/** By what B is multiplied, so that alpha gives its scale. */
function factorOf(member: LowRank, group: Group, alpha: number): number {
  return alphaOf(member, group) === alpha ? 1 : (member.scale * rankOf(group)) / alpha
}

/** The type that all factors of a group have, else F32. */
function typeOf({ members }: Group): ElementType {
  const types = new Set(members.flatMap((member) => (member ? [member.a.type, member.b.type] : [])))
  return types.size === 1 ? [...types][0]! : 'F32'
}

function tensorsOf(group: Group, base: AdapterBase, type: ElementType, alpha: number): ProducedTensor[] {
  const { name, role, members } = group
  const rank = rankOf(group)
  const { rows, columns } = shapeOf(role, base)
  const matrices = isExpertRole(role) ? [members.length] : []
  const tensor = (suffix: string, shape: readonly number[], bytesOf: (member: LowRank | undefined) => Uint8Array) => ({
    name: `${name}.lora_${suffix}`,
    type: ggmlTypeByName(type)!,
    shape: [...shape, ...matrices],
    *pieces() {
      for (const member of members) yield bytesOf(member)
    },
  })
  return [
    tensor('a', [columns, rank], (member) => resized(member?.a, rank, columns, 1, type, name)),
    tensor('b', [rank, rows], (member) => resized(member?.b, rows, rank, member ? factorOf(member, group, alpha) : 1, type, name)),
  ]
}

/** A factor with zeros for rows and columns that it does not have, multiplied, as elements of a type. */
function resized(factor: Factor | undefined, rows: number, columns: number, by: number, type: ElementType, name: string): Uint8Array {
  if (factor?.rows === rows && factor.columns === columns && by === 1) return converted(factor.bytes.slice(), factor.type, type, name)
  const values = new Float32Array(rows * columns)
  const own = factor && valuesOf(factor)
  for (let row = 0; row < (factor?.rows ?? 0); row++) {
    for (let column = 0; column < factor!.columns; column++) values[row * columns + column] = by * own![row * factor!.columns + column]!
  }
  if (!values.every(Number.isFinite)) throw tooLarge(name, 'F32')
  return converted(new Uint8Array(values.buffer), 'F32', type, name)
}

function converted(bytes: Uint8Array, from: ElementType, to: ElementType, name: string): Uint8Array {
  const result = convertElements(bytes, from, to)
  if (result) return result
  throw tooLarge(name, to)
}

function tooLarge(name: string, type: ElementType): MixtralError {
  const expected = type === 'F32' ? 'a smaller scale' : 'a wider type'
  return new MixtralError('OPTION', `the factors of ${name} have numbers that ${type} cannot hold, expected ${expected}`)
}

function metadataOf({ path: folder }: Adapter, alpha: number, baseName: string | undefined): GgufEntry[] {
  const [, owner, repo] = /^([\w.-]+)\/([\w.-]+)$/.exec(baseName ?? '') ?? []
  const base: GgufEntry[] = [
    ['general.base_model.count', 'uint32', 1],
    ['general.base_model.0.name', 'string', (repo ?? '').replaceAll('-', ' ')],
    ['general.base_model.0.organization', 'string', owner ?? ''],
    ['general.base_model.0.repo_url', 'string', `https://huggingface.co/${owner}/${repo}`],
  ]
  return [
    ['general.architecture', 'string', 'llama'],
    ['general.type', 'string', 'adapter'],
    ['adapter.type', 'string', 'lora'],
    ['general.name', 'string', path.basename(path.resolve(folder))],
    ...(repo === undefined ? [] : base),
    ['adapter.lora.alpha', 'float32', alpha],
    ['general.quantization_version', 'uint32', 2],
  ]
}
