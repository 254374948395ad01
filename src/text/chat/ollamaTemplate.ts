// A chat through an Ollama template. Owns how turns and tools become its data, as in Ollama's template package. A
// template that uses .Messages gets all of them at once. An older one runs once per exchange with .System, .Prompt and
// .Response; the last run ends at .Response, where the answer goes.

import { renderGoTemplate } from '../templates/goTemplate.js'
import { type GoNode, type GoOperand, type GoPipe, parseGoTemplate } from '../templates/goTemplateParser.js'
import { Text } from '../templates/markedText.js'
import { WorkBudget } from '../templates/workBudget.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn } from './chatMessages.js'
import { type MarkedTurn, messageData, toolData } from './ollamaData.js'
import { turnOrigin } from './templateInput.js'

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
   */
  render(turns: readonly Turn[], tools: readonly CheckedTool[], characters: number): Text {
    const budget = new WorkBudget(characters) // one budget for all runs
    const collated = collate(turns)
    if (this.#takesMessages) {
      const data = {
        System: texts(collated, 'system'),
        Messages: collated.map(messageData),
        Tools: tools.map(toolData),
        Response: '',
      }
      return renderGoTemplate(this.#nodes, data, budget)
    }
    const parts: Text[] = []
    const none = { System: Text.empty, Prompt: Text.empty, Response: Text.empty }
    let [turn, length] = [none, 0]
    const run = (nodes: readonly GoNode[]) => {
      const text = renderGoTemplate(nodes, turn, budget)
      length += text.length
      budget.checkLength(length)
      parts.push(text)
      turn = none
    }
    for (const { role, content } of collated) {
      if (role === 'system' && (turn.Prompt.length > 0 || turn.Response.length > 0)) run(this.#nodes)
      if (role === 'user' && turn.Response.length > 0) run(this.#nodes)
      turn = { ...turn, [role === 'system' ? 'System' : role === 'user' ? 'Prompt' : 'Response']: content }
    }
    run(untilResponse(this.#nodes).nodes)
    return Text.concat(parts)
  }
}

/** Joins successive turns of one role; those with calls, and the answers to calls, stay apart. */
function collate(turns: readonly Turn[]): MarkedTurn[] {
  const collated: MarkedTurn[] = []
  turns.forEach((plain, index) => {
    const turn = { ...plain, content: Text.of(plain.content, turnOrigin(index)) }
    const last = collated.at(-1)
    if (last?.role === turn.role && turn.role !== 'tool' && last.calls.length + turn.calls.length === 0) {
      collated[collated.length - 1] = { ...last, content: Text.concat([last.content, new Text('\n\n'), turn.content]) }
    } else collated.push(turn)
  })
  return collated
}

function texts(turns: readonly MarkedTurn[], role: Turn['role']): Text {
  return Text.join(
    turns.flatMap((turn) => (turn.role === role ? [turn.content] : [])),
    new Text('\n\n'),
  )
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
