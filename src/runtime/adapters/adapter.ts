// An adapter in memory: which matrices of a model it changes, and how. Owns which roles can be adapted, and the check
// that a change fits the model. Does not know how files spell it.

import { byteCount } from '../../base/amounts.js'
import { MixtralError } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { type ExpertRole, type LayerMatrix, type ModelShape, roles, shapeOf } from '../weights/roles.js'
import type { LowRank } from './lowRank.js'

/** The matrices that an adapter may change: those of attention, the router, the experts. */
export type AdaptedRole = LayerMatrix | ExpertRole

/** What must be known of a model to read an adapter to it. */
export type AdapterBase = ModelShape & { readonly layers: number }

/** A matrix of a model, as a role of a layer; of an expert, if the role is one of experts. */
export interface MatrixPlace {
  readonly role: AdaptedRole
  readonly layer: number
  readonly expert?: number | undefined
}

export interface MatrixChange extends MatrixPlace {
  readonly lowRank: LowRank
}

export class Adapter {
  /** The file or folder that it was read from. */
  readonly path: string
  /** The files to be kept as they are. */
  readonly files: readonly string[]
  readonly changes: readonly MatrixChange[]
  /** The name of the model that it was trained for, as it says itself; nobody checks it. */
  readonly baseModel: string | undefined
  readonly #byPlace: ReadonlyMap<string, LowRank>

  constructor(path: string, files: readonly string[], changes: readonly MatrixChange[], baseModel: string | undefined) {
    this.path = path
    this.files = files
    this.changes = changes
    this.baseModel = baseModel
    this.#byPlace = new Map(changes.map((change) => [keyOf(change), change.lowRank]))
  }

  /** Bytes of its factors in memory. */
  get bytes(): number {
    return this.changes.reduce((sum, { lowRank: { a, b } }) => sum + a.bytes.length + b.bytes.length, 0)
  }

  /** How it changes a matrix; undefined if it does not. */
  at(place: MatrixPlace): LowRank | undefined {
    return this.#byPlace.get(keyOf(place))
  }
}

const keyOf = ({ role, layer, expert }: MatrixPlace) => `${role} ${layer} ${expert ?? ''}`

/** The shapes of a pair, as far as they are known. */
export interface PairShape {
  readonly rank: number
  /** Outputs. */
  readonly rows: number
  /** Inputs. */
  readonly columns: number
}

/**
 * Throws `MODEL` unless a model has the matrix, and of that shape. `file` and `where` are for messages.
 */
export function checkFit(base: AdapterBase, { role, layer, expert }: MatrixPlace, pair: PairShape, file: string, where: string): void {
  const refuse = (problem: string) => refuseOther(file, problem, where)
  checkLayer(base, layer, file, where)
  if (expert !== undefined && expert >= base.experts) refuse(`expert ${expert}, expected one from 0 to ${base.experts - 1}`)
  const { rows, columns } = shapeOf(role, base)
  if (pair.columns !== columns) refuse(`${pair.columns} inputs, expected ${columns}`)
  if (pair.rows !== rows) refuse(`${pair.rows} outputs, expected ${rows}`)
}

/** Throws `MODEL` unless a model has the layer. */
export function checkLayer({ layers }: AdapterBase, layer: number, file: string, where: string): void {
  if (layer >= layers) refuseOther(file, `layer ${layer}, expected one from 0 to ${layers - 1}`, where)
}

/** Throws `MODEL` for an adapter to a model that is not this one. */
export function refuseOther(file: string, problem: string, where: string): never {
  throw new MixtralError('MODEL', `${file}: ${problem}: the adapter is to another model (${where})`)
}

/** Throws `MODEL` for a rank that no adapter has. */
export function checkRank(rank: number, file: string, where: string): void {
  if (Number.isInteger(rank) && rank >= 1 && rank <= limits.adapterRank.most) return
  throw new MixtralError('MODEL', `${file}: rank ${rank}, expected one from 1 to ${limits.adapterRank.most} (${where})`)
}

/** What bounds the reading of an adapter. */
export interface ReadOptions {
  /** Most bytes of memory that its factors may take. Default: as many as any adapter may have. */
  readonly ram?: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Adds up the bytes of factors, before they are read. Throws `MODEL` for more than an adapter may have, `MEMORY` for
 * more than there is room for.
 */
export function checkBytes(sizes: Iterable<number>, file: string, { ram = Number.POSITIVE_INFINITY }: ReadOptions = {}): void {
  let bytes = 0
  for (const size of sizes) bytes += size
  if (bytes > limits.adapterBytes.most) {
    throw new MixtralError('MODEL', `${file}: ${bytes} bytes of factors, expected at most ${limits.adapterBytes.most}`)
  }
  if (bytes > ram) throw new MixtralError('MEMORY', `${file}: ${byteCount(bytes)} of factors, of ${byteCount(Math.max(0, ram))} of memory`)
}

export function isExpertRole(role: AdaptedRole): role is ExpertRole {
  return roles[role].per === 'expert'
}
