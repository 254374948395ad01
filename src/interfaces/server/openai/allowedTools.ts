// What the API says of tools beside the library. `strict` is false where a request does not say it. A `tool_choice` of
// the type `allowed_tools`, of chats and of responses, names some of the tools, and whether one must be called.

import type { ToolChoice, ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import { badRequest } from '../apiError.js'

/** What there is of a choice, before the library has checked it. */
interface Given<Tool> {
  readonly tools: readonly Tool[] | undefined
  readonly choice: unknown
}

type Fields = Readonly<Record<string, unknown>>

/**
 * The tools that are left, and the choice among them; others than of this type stay as they are. `nameOf` has the name
 * of a function. Throws an ApiError 400.
 */
export function allowedTools<Tool>({ tools, choice }: Given<Tool>, nameOf: (tool: Tool) => unknown): Given<Tool> {
  const { type, ...given } = (isFields(choice) ? choice : {}) as Fields
  if (type !== 'allowed_tools') return { tools, choice }
  const { mode, tools: allowed } = isFields(given.allowed_tools) ? given.allowed_tools : given // in chats, one level deeper
  if (mode !== 'auto' && mode !== 'required') throw badRequest('tool_choice.mode: expected auto or required', 'tool_choice')
  if (!Array.isArray(allowed)) throw badRequest('tool_choice.tools: expected a list', 'tool_choice')
  const names = allowed.filter((one) => isFields(one) && one.type === 'function').map(functionName)
  const known = new Set(tools?.map(nameOf))
  const unknown = names.find((name) => !known.has(name))
  if (unknown !== undefined) {
    throw badRequest(`tool_choice allows ${JSON.stringify(unknown).slice(0, 70)}, but tools has none of this name`, 'tool_choice')
  }
  const wanted = new Set(names)
  return { tools: tools?.filter((tool) => wanted.has(nameOf(tool))), choice: mode satisfies ToolChoice }
}

/** Tools as the library takes them. By the APIs' default, keywords without support are left out of their schemas. */
export function toolsWithStrictness(tools: readonly unknown[]): ToolDefinition[] {
  const strictness = (tool: unknown) => {
    if (!isFields(tool) || !isFields(tool.function)) return tool // the library's to refuse
    return { ...tool, function: { ...tool.function, strict: tool.function.strict ?? false } }
  }
  return tools.map(strictness) as ToolDefinition[]
}

function functionName({ name, function: called }: Fields): unknown {
  return (isFields(called) ? called.name : name) ?? null
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
