// What the entry points for frameworks have in common: the name of a model, the embeddings of many texts, and schemas
// whose answers the framework checks once more. Knows no framework.

import path from 'node:path'
import { checkKind, MixtralError } from '../../base/errors.js'
import { onAbort } from '../../base/onAbort.js'
import { checkScales } from '../../runtime/engine/callArguments.js'
import { compileLanguage } from '../../text/constraint/language.js'
import { schemaExpression } from '../../text/constraint/schema/schemaGrammar.js'
import type { Embedding } from '../../text/generate/embed.js'
import { MixtralModel } from '../../text/generate/mixtralModel.js'
import { plainJson } from '../../text/tools/plainJson.js'
import { argumentsSchema, checkTools, closedSchema, type ToolDefinition } from '../../text/tools/toolDefinitions.js'

/** Throws `OPTION` unless it is a loaded model; `what` names it. */
export function checkModel(what: string, model: unknown): void {
  checkKind(what, model, model instanceof MixtralModel, 'a model: await MixtralModel.load(name)')
}

/** The name that a model has without another: that of its file. */
export function modelName({ gguf }: MixtralModel): string {
  return path.basename(gguf.files[0]!.path).replace(/\.gguf$/i, '')
}

/** What the answers of a model depend on: another file, other adapters or another KV cache answer otherwise. */
export function modelIdentity({ gguf, adapters, memory }: MixtralModel): object {
  const applied = adapters.map(({ sha256, scale }) => `${sha256} ${scale}`)
  return { model: gguf.files.map(({ path }) => path), kvFormat: memory.kvFormat, ...(applied.length > 0 && { loadedAdapters: applied }) }
}

/** A signal that fires with the caller's, and when the call is left. */
export function leavable(signal: AbortSignal | undefined): { readonly signal: AbortSignal; readonly leave: () => void } {
  const leaving = new AbortController()
  const unlisten = onAbort(signal, () => leaving.abort(signal?.reason))
  const leave = () => {
    unlisten()
    leaving.abort()
  }
  return { signal: leaving.signal, leave }
}

interface EmbedCall {
  readonly salt?: string | undefined
  readonly adapters?: readonly number[] | undefined
  readonly signal?: AbortSignal | undefined
  /** Most texts at one time. */
  readonly width?: number | undefined
}

/** The embeddings of texts, in their order. The first error ends all. Throws what `MixtralModel.embed` throws. */
export async function embedAll(
  model: MixtralModel,
  given: readonly string[],
  { salt, adapters, signal, width }: EmbedCall,
): Promise<Embedding[]> {
  const texts = [...given]
  const chosen = { ...(salt !== undefined && { salt }), ...(adapters !== undefined && { adapters: checkScales(adapters, model) }) }
  const { signal: ending, leave } = leavable(signal)
  const found: Embedding[] = []
  let begun = 0
  const work = async () => {
    while (begun < texts.length) {
      const index = begun++
      found[index] = await model.embed(texts[index]!, { signal: ending, ...chosen })
    }
  }
  const most = Math.min(texts.length, width ?? model.status().sequences)
  try {
    await Promise.all(Array.from({ length: most }, work))
  } finally {
    leave()
  }
  return found
}

/** Why the arguments of a tool may break its schema: the first keyword that is left out; undefined for none. */
export function leftOut(tool: ToolDefinition): string | undefined {
  const [checked] = checkTools({ tools: [tool] })!.tools
  if (checked!.strict) return undefined
  try {
    compileLanguage({ compose: (grammar) => schemaExpression(grammar, argumentsSchema(checked!), 'spaced') })
    return undefined
  } catch (error) {
    if (error instanceof MixtralError) return error.message
    throw error
  }
}

/** A schema without the patterns that no constraint can follow, and why each of them is left out. */
export interface FollowedSchema {
  readonly schema: unknown
  readonly leftOut: readonly string[]
}

/** Keywords whose values are data, and no schemas. */
const DATA = ['const', 'default', 'enum', 'examples']

/**
 * Leaves out what regular expressions of schemas may have and constraints have not, such as `\b`, and closes objects,
 * as models invent properties. For frameworks that check the answer: texts may break those patterns alone. Throws
 * `OPTION` for what is no plain JSON.
 */
export function followedSchema(schema: unknown): FollowedSchema {
  const reasons = new Set<string>()
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    const kept = Object.entries(value).flatMap(([name, inner]): [string, unknown][] => {
      if (DATA.includes(name)) return [[name, inner]]
      const reason = name === 'pattern' && typeof inner === 'string' ? whyNot(inner) : undefined
      if (reason === undefined) return [[name, walk(inner)]]
      reasons.add(reason)
      return []
    })
    return Object.fromEntries(kept)
  }
  return { schema: closedSchema(walk(plainJson(schema, 'the schema', 'OPTION'))), leftOut: [...reasons] }
}

/** Why a pattern is not supported; undefined where it is, and where it is malformed: that is an error of its schema. */
function whyNot(pattern: string): string | undefined {
  try {
    compileLanguage({ jsonSchema: { type: 'string', pattern } })
    return undefined
  } catch (error) {
    if (error instanceof MixtralError && error.code === 'UNSUPPORTED') return error.message
    return undefined
  }
}
