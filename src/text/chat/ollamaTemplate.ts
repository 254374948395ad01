// A chat through an Ollama template. Owns how messages become its data, as in Ollama's template package. A template
// that uses .Messages gets all of them at once. An older one runs once per exchange with .System, .Prompt and
// .Response; the last run ends at .Response, where the answer goes.

import type { ChatMessage } from './chatMessages.js'
import { type GoValue, renderGoTemplate } from './goTemplate.js'
import { type GoNode, type GoOperand, type GoPipe, parseGoTemplate } from './goTemplateParser.js'
import { WorkBudget } from './templateBudget.js'

export class OllamaTemplate {
  readonly #nodes: readonly GoNode[]
  readonly #takesMessages: boolean

  /** Throws an Error for invalid syntax. */
  constructor(source: string) {
    const nodes = parseGoTemplate(source)
    const fields = new Set(fieldsOf(nodes))
    this.#takesMessages = fields.has('Messages')
    const response: GoNode = { type: 'action', pipe: [[{ type: 'fields', of: 'dot', path: ['Response'] }]] }
    this.#nodes = this.#takesMessages || fields.has('Response') ? nodes : [...nodes, response]
  }

  /**
   * The prompt for the next message. Throws an Error if the template fails or exceeds its budget.
   * @param characters total length of the messages
   * @param reveal gives the text that takes part in comparisons
   */
  render(messages: readonly ChatMessage[], characters: number, reveal: (text: string) => string): string {
    const budget = new WorkBudget(characters) // one budget for all runs
    const collated = collate(messages)
    if (this.#takesMessages) {
      const system = texts(messages, 'system')
      const all = collated.map(({ role, content }) => ({ Role: role, Content: content }))
      return renderGoTemplate(this.#nodes, { System: system, Messages: all, Response: '' }, budget, reveal)
    }
    let text = ''
    let turn: Record<'System' | 'Prompt' | 'Response', string> = { System: '', Prompt: '', Response: '' }
    const run = (nodes: readonly GoNode[]) => {
      text += renderGoTemplate(nodes, turn satisfies GoValue, budget, reveal)
      budget.checkLength(text.length)
      turn = { System: '', Prompt: '', Response: '' }
    }
    for (const { role, content } of collated) {
      if (role === 'system' && (turn.Prompt || turn.Response)) run(this.#nodes)
      if (role === 'user' && turn.Response) run(this.#nodes)
      turn[role === 'system' ? 'System' : role === 'user' ? 'Prompt' : 'Response'] = content
    }
    run(untilResponse(this.#nodes).nodes)
    return text
  }
}

/** Joins successive messages of one role. */
function collate(messages: readonly ChatMessage[]): ChatMessage[] {
  const collated: ChatMessage[] = []
  for (const message of messages) {
    const last = collated.at(-1)
    if (last?.role === message.role) collated[collated.length - 1] = { ...last, content: `${last.content}\n\n${message.content}` }
    else collated.push(message)
  }
  return collated
}

function texts(messages: readonly ChatMessage[], role: ChatMessage['role']): string {
  return messages.flatMap((message) => (message.role === role ? [message.content] : [])).join('\n\n')
}

/** The part of the template before it prints .Response. */
function untilResponse(nodes: readonly GoNode[]): { nodes: readonly GoNode[]; found: boolean } {
  const kept: GoNode[] = []
  for (const node of nodes) {
    if (node.type === 'action' && pipeFields(node.pipe).includes('Response')) return { nodes: [...kept, node], found: true }
    if ('body' in node) {
      const body = untilResponse(node.body)
      const otherwise = body.found ? { nodes: [], found: false } : untilResponse(node.otherwise)
      kept.push({ ...node, body: body.nodes, otherwise: otherwise.nodes })
      if (body.found || otherwise.found) return { nodes: kept, found: true }
    } else kept.push(node)
  }
  return { nodes: kept, found: false }
}

/** The names of all fields that a template uses. */
function fieldsOf(nodes: readonly GoNode[]): string[] {
  return nodes.flatMap((node) => {
    const own = 'pipe' in node ? pipeFields(node.pipe) : []
    return 'body' in node ? [...own, ...fieldsOf(node.body), ...fieldsOf(node.otherwise)] : own
  })
}

function pipeFields(pipe: GoPipe): string[] {
  return pipe.flatMap((command) => command.flatMap(operandFields))
}

function operandFields(operand: GoOperand): readonly string[] {
  if (operand.type !== 'fields') return []
  const inner = typeof operand.of === 'object' && 'pipe' in operand.of ? pipeFields(operand.of.pipe) : []
  return [...inner, ...operand.path]
}
