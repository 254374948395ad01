// A chat through an Ollama template. Owns how turns and tools become its data, as in Ollama's template package. A
// template that uses .Messages gets all of them at once. An older one runs once per exchange with .System, .Prompt and
// .Response; the last run ends at .Response, where the answer goes.

import { renderGoTemplate } from '../templates/goTemplate.js'
import { type GoNode, type GoOperand, type GoPipe, type GoTemplates, MAIN, parseGoTemplate } from '../templates/goTemplateParser.js'
import { Text } from '../templates/markedText.js'
import { type ChatBudget, WorkBudget } from '../templates/workBudget.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn } from './chatMessages.js'
import { type MarkedTurn, messageData, toolData } from './ollamaData.js'
import { turnOrigin } from './templateInput.js'

/** What Ollama says to templates of models that think. */
const NO_THINKING = { Think: false, IsThinkSet: false }

export class OllamaTemplate {
  readonly #templates: GoTemplates
  readonly #takesMessages: boolean

  /** Throws an Error for invalid syntax. */
  constructor(source: string) {
    const templates = parseGoTemplate(source)
    const fields = new Set([...templates.values()].flatMap(fieldsOf))
    this.#takesMessages = fields.has('Messages')
    const response: GoNode = { type: 'action', pipe: [[{ type: 'fields', of: 'dot', path: ['Response'] }]] }
    const isComplete = this.#takesMessages || fields.has('Response')
    this.#templates = isComplete ? templates : new Map(templates).set(MAIN, [...templates.get(MAIN)!, response])
  }

  /**
   * The prompt for the next message. Throws an Error if the template fails or exceeds its budget.
   * @param characters total length of the messages
   * @param time what is left for it and other renderings
   */
  render(turns: readonly Turn[], tools: readonly CheckedTool[], characters: number, time?: ChatBudget): Text {
    const budget = new WorkBudget(characters, time) // one budget for all runs
    const collated = collate(turns)
    if (this.#takesMessages) {
      const data = {
        System: texts(collated, 'system'),
        Messages: collated.map(messageData),
        Tools: tools.map(toolData),
        Response: '',
        ...NO_THINKING,
      }
      return renderGoTemplate(this.#templates, data, budget)
    }
    const parts: Text[] = []
    const none = { System: Text.empty, Prompt: Text.empty, Response: Text.empty, ...NO_THINKING }
    let [turn, length] = [none, 0]
    const run = (templates: GoTemplates) => {
      const text = renderGoTemplate(templates, turn, budget)
      length += text.length
      budget.checkLength(length)
      parts.push(text)
      turn = none
    }
    for (const { role, content } of collated) {
      if (role === 'system' && (turn.Prompt.length > 0 || turn.Response.length > 0)) run(this.#templates)
      if (role === 'user' && turn.Response.length > 0) run(this.#templates)
      turn = { ...turn, [role === 'system' ? 'System' : role === 'user' ? 'Prompt' : 'Response']: content }
    }
    run(untilResponse(this.#templates))
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

/** The templates, without what the main one prints behind .Response, or one that it calls. */
function untilResponse(templates: GoTemplates): GoTemplates {
  const cut = new Map(templates)
  const seen = new Set<string>()
  const cutTemplate = (name: string): boolean => {
    const whole = templates.get(name)
    if (!whole || seen.has(name)) return false
    seen.add(name)
    const { nodes, found } = cutNodes(whole)
    cut.set(name, nodes)
    return found
  }
  const cutNodes = (nodes: readonly GoNode[]): { nodes: readonly GoNode[]; found: boolean } => {
    const kept: GoNode[] = []
    for (const node of nodes) {
      if ((node.type === 'action' || node.type === 'template') && pipeFields(node.pipe).includes('Response'))
        return { nodes: [...kept, node], found: true }
      if (node.type === 'template' && cutTemplate(node.name)) return { nodes: [...kept, node], found: true }
      if ('body' in node) {
        const body = cutNodes(node.body)
        const otherwise = body.found ? { nodes: [], found: false } : cutNodes(node.otherwise)
        kept.push({ ...node, body: body.nodes, otherwise: otherwise.nodes })
        if (body.found || otherwise.found) return { nodes: kept, found: true }
      } else kept.push(node)
    }
    return { nodes: kept, found: false }
  }
  cutTemplate(MAIN)
  return cut
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
