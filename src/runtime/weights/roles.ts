// The tensors of a Mixtral, a row for each role: whose it is, its name in a GGUF, its shape, and whether a quantization
// may change its type. Whatever goes through a model's tensors takes them from this table: finding, planning, checking,
// quantizing, converting. Owns the names in both layouts of experts; knows no file and no address.

import type { MixtralConfig } from './mixtralConfig.js'

/** The hyper-parameters that shapes depend on. */
export type ModelShape = Pick<MixtralConfig, 'vocabSize' | 'hiddenSize' | 'intermediateSize' | 'heads' | 'kvHeads' | 'headDim' | 'experts'>

/** The lengths that tensors have. */
const lengths = {
  one: () => 1,
  vocab: ({ vocabSize }: ModelShape) => vocabSize,
  hidden: ({ hiddenSize }: ModelShape) => hiddenSize,
  /** All query heads side by side. */
  queries: ({ heads, headDim }: ModelShape) => heads * headDim,
  /** All key heads, or value heads, side by side. */
  keys: ({ kvHeads, headDim }: ModelShape) => kvHeads * headDim,
  intermediate: ({ intermediateSize }: ModelShape) => intermediateSize,
  experts: ({ experts }: ModelShape) => experts,
}
type Length = keyof typeof lengths

interface RoleRow {
  /** How many there are: one in the model, one in each layer, or one for each expert of each layer. */
  readonly per: 'model' | 'layer' | 'expert'
  /** The name in a GGUF, without what stands for the layer and the expert, and without `.weight`. */
  readonly name: string
  /** Outputs. A tensor of one row is a vector: always F32, and in memory as it is in the file. */
  readonly rows: Length
  /** Inputs. */
  readonly columns: Length
  /** Whether a quantization chooses its type. If not, quantizing keeps its type, and converting writes F32. */
  readonly quantized: boolean
}

/** In the order in which a pass uses them, which is their order in files and in memory. */
export const roles = {
  tokenEmbd: { per: 'model', name: 'token_embd', rows: 'vocab', columns: 'hidden', quantized: true },
  attnNorm: { per: 'layer', name: 'attn_norm', rows: 'one', columns: 'hidden', quantized: false },
  attnQ: { per: 'layer', name: 'attn_q', rows: 'queries', columns: 'hidden', quantized: true },
  attnK: { per: 'layer', name: 'attn_k', rows: 'keys', columns: 'hidden', quantized: true },
  attnV: { per: 'layer', name: 'attn_v', rows: 'keys', columns: 'hidden', quantized: true },
  attnOutput: { per: 'layer', name: 'attn_output', rows: 'hidden', columns: 'queries', quantized: true },
  ffnNorm: { per: 'layer', name: 'ffn_norm', rows: 'one', columns: 'hidden', quantized: false },
  /** The router. */
  ffnGateInp: { per: 'layer', name: 'ffn_gate_inp', rows: 'experts', columns: 'hidden', quantized: false },
  ffnGate: { per: 'expert', name: 'ffn_gate', rows: 'intermediate', columns: 'hidden', quantized: true },
  ffnUp: { per: 'expert', name: 'ffn_up', rows: 'intermediate', columns: 'hidden', quantized: true },
  ffnDown: { per: 'expert', name: 'ffn_down', rows: 'hidden', columns: 'intermediate', quantized: true },
  outputNorm: { per: 'model', name: 'output_norm', rows: 'one', columns: 'hidden', quantized: false },
  output: { per: 'model', name: 'output', rows: 'vocab', columns: 'hidden', quantized: true },
} as const satisfies Readonly<Record<string, RoleRow>>

type Table = typeof roles
export type Role = keyof Table
/** The roles whose row has these properties. */
type RolesWith<Properties> = { [R in Role]: Table[R] extends Properties ? R : never }[Role]
export type ModelRole = RolesWith<{ per: 'model' }>
export type LayerRole = RolesWith<{ per: 'layer' }>
export type ExpertRole = RolesWith<{ per: 'expert' }>
export type QuantizedRole = RolesWith<{ quantized: true }>
type VectorRole = RolesWith<{ rows: 'one' }>
export type LayerVector = LayerRole & VectorRole
export type LayerMatrix = Exclude<LayerRole, VectorRole>

const allRoles = Object.keys(roles) as Role[]
export const modelRoles = allRoles.filter((role): role is ModelRole => roles[role].per === 'model')
export const layerRoles = allRoles.filter((role): role is LayerRole => roles[role].per === 'layer')
export const expertRoles = allRoles.filter((role): role is ExpertRole => roles[role].per === 'expert')

export function isVector(role: Role): role is VectorRole {
  return roles[role].rows === 'one'
}

export function isQuantized(role: Role): role is QuantizedRole {
  return roles[role].quantized
}

/** Outputs and inputs; an expert's tensor without its fellow experts. */
export function shapeOf(role: Role, shape: ModelShape): { readonly rows: number; readonly columns: number } {
  return { rows: lengths[roles[role].rows](shape), columns: lengths[roles[role].columns](shape) }
}

/** Such as `blk.3.attn_q.weight`; an expert's role gives the tensor of all experts, `blk.3.ffn_up_exps.weight`. */
export function tensorName(role: Role, layer = 0): string {
  const { per, name } = roles[role]
  if (per === 'model') return `${name}.weight`
  return `blk.${layer}.${name}${per === 'expert' ? '_exps' : ''}.weight`
}

/** Such as `blk.3.ffn_up.7.weight`: one expert's own tensor, as in files from before April 2024. */
export function expertTensorName(role: ExpertRole, layer: number, expert: number): string {
  return `blk.${layer}.${roles[role].name}.${expert}.weight`
}

/** What a tensor's name says. */
type NamedTensor =
  | { readonly per: 'model'; readonly role: ModelRole; readonly layer?: undefined }
  | { readonly per: 'layer'; readonly role: LayerRole; readonly layer: number }
  /** Without `expert`, the tensor of all experts. */
  | { readonly per: 'expert'; readonly role: ExpertRole; readonly layer: number; readonly expert?: number }

const rolesByName: ReadonlyMap<string, Role> = new Map(allRoles.map((role) => [roles[role].name, role]))

/** Reads a tensor's name, in either layout of experts. Undefined for a tensor that no Mixtral has. */
export function parseTensorName(tensor: string): NamedTensor | undefined {
  const pattern = /^(?:blk\.(0|[1-9]\d*)\.)?(\w+?)(?:(_exps)|\.(0|[1-9]\d*))?\.weight$/
  const [, layerText, name, merged, expertText] = pattern.exec(tensor) ?? []
  const role = rolesByName.get(name ?? '')
  if (!role) return undefined
  const [layer, expert] = [layerText, expertText].map((digits) => (digits === undefined ? undefined : Number(digits)))
  const ofExperts = merged !== undefined || expert !== undefined
  const { per } = roles[role]
  if ((layer === undefined) !== (per === 'model') || ofExperts !== (per === 'expert')) return undefined
  return { per, role, layer, expert } as NamedTensor
}

/** A value for each role, made in the order given. */
export function recordOf<R extends Role, T>(of: readonly R[], make: (role: R) => T): Record<R, T> {
  return Object.fromEntries(of.map((role) => [role, make(role)])) as Record<R, T>
}

const layerMatrices = layerRoles.filter((role): role is LayerMatrix => !isVector(role))

/** What attention and router multiply by, in the table's order: a layer's matrices without its experts'. */
export function matricesOf<T>(layer: Readonly<Record<LayerMatrix, T>>): T[] {
  return layerMatrices.map((role) => layer[role])
}

/** What an expert multiplies by, in the table's order. */
export function expertMatricesOf<T>(expert: Readonly<Record<ExpertRole, T>>): T[] {
  return expertRoles.map((role) => expert[role])
}
