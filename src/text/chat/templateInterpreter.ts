// Runs a Jinja chat template within a budget, with the texts of messages in disguise. Owns which steps are checked
// before they run (a single filter could make gigabytes), and which ones need the text behind the disguise
// (comparisons). Knows nothing of chats or tokens.

import type { Disguise } from './disguise.js'
import { arrayValue, Environment, Interpreter, isValue, type Node, parse, type Scope, stringValue, tokenize, type Value } from './jinja.js'
import { itemsOf, TemplateBudget } from './templateBudget.js'

const LONGEST_TEMPLATE = 100_000
/** Longest run of white space: the package's lexer takes time quadratic in it. */
const LONGEST_BLANK = 2000
const LONGEST_RANGE = 10_000

const COMPARISONS = new Set(['in', 'not in', '==', '!='])
/**
 * Operations whose results may be far larger than their operands, or that may search for long. For all others the check
 * afterwards is enough.
 */
const WATCHED = new Set(['replace', 'split', 'join', 'indent', 'tojson'])
/**
 * Operations whose result is the same for a disguised text: they move or count characters, and examine white space
 * only.
 */
const BLIND = new Set(['trim', 'strip', 'lstrip', 'rstrip', 'string', 'safe', 'length', 'join', 'indent', 'default', 'first', 'last'])

/** Thrown when the template itself refuses, with `raise_exception`. */
export class TemplateRefusal extends Error {}

/** Parses a template. Throws an Error for invalid syntax, and for a template larger than any real one. */
export function parseTemplate(source: string): Node {
  if (source.length > LONGEST_TEMPLATE) throw new Error(`it is ${source.length} characters long, expected at most ${LONGEST_TEMPLATE}`)
  if (new RegExp(`\\s{${LONGEST_BLANK}}`).test(source)) throw new Error(`it has ${LONGEST_BLANK} blanks in a row`)
  return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }))
}

/**
 * Renders a parsed template with variables, plain ones or values of the template language. Texts that `disguise`
 * covered stay covered.
 * Throws a TemplateRefusal when the template refuses, and another Error when it fails or exceeds its budget.
 */
export function renderTemplate(
  program: Node,
  variables: Readonly<Record<string, unknown>>,
  disguise: Disguise,
  characters: number,
): string {
  const scope = new Environment()
  const globals = { true: true, false: false, none: null, True: true, False: false, None: null, range, raise_exception: raiseException }
  for (const [name, value] of Object.entries({ ...globals, ...variables })) {
    if (isValue(value)) scope.setVariable(name, value)
    else scope.set(name, value)
  }
  return new TemplateInterpreter(scope, disguise, new TemplateBudget(characters)).evaluate(program, scope).value as string
}

class TemplateInterpreter extends Interpreter {
  readonly #disguise: Disguise
  readonly #budget: TemplateBudget

  constructor(scope: Scope, disguise: Disguise, budget: TemplateBudget) {
    super(scope)
    this.#disguise = disguise
    this.#budget = budget
  }

  override evaluate(node: Node | undefined, scope: Scope): Value {
    if (node?.type === 'Constant') return node.value
    const value = this.#budget.step(() => this.#evaluate(node, scope))
    if (!looksUp(node)) this.#budget.charge(value)
    return value
  }

  #evaluate(node: Node | undefined, scope: Scope): Value {
    switch (node?.type) {
      case 'BinaryExpression':
        return COMPARISONS.has(node.operator.value) ? this.#compare(node, scope) : super.evaluate(node, scope)
      case 'For':
        return this.#loop(node, scope)
      case 'FilterStatement':
        return this.#filter({ operand: { type: 'Program', body: node.body }, filter: node.filter }, scope)
      case 'FilterExpression':
        return this.#filter({ operand: node.operand, filter: node.filter }, scope)
      case 'CallExpression':
        return this.#call(node, scope)
      case 'CallStatement':
        refuseUnpacking(node.call.args)
        return super.evaluate(node, scope)
      case 'MemberExpression':
        return this.#member(node, scope)
      default:
        return super.evaluate(node, scope)
    }
  }

  /** Compares the texts behind the disguise. */
  #compare(node: Node, scope: Scope): Value {
    const left = this.#reveal(this.evaluate(node.left, scope))
    const right = this.#revealItems(this.evaluate(node.right, scope))
    this.#budget.checkSearch(textOf(right), textOf(left))
    return super.evaluate({ ...node, left: constant(left), right: constant(right) }, scope)
  }

  /** Counts a loop's items: the interpreter makes a scope for every item before the first iteration. */
  #loop(node: Node, scope: Scope): Value {
    const selects = node.iterable.type === 'SelectExpression'
    const iterable = this.evaluate(selects ? node.iterable.lhs : node.iterable, scope)
    this.#budget.chargeItems(16 * itemsOf(iterable))
    return super.evaluate({ ...node, iterable: selects ? { ...node.iterable, lhs: constant(iterable) } : constant(iterable) }, scope)
  }

  #filter({ operand, filter }: { operand: Node; filter: Node }, scope: Scope): Value {
    const name: string = filter.type === 'Identifier' ? filter.value : filter.callee.value
    const args: readonly Node[] = filter.type === 'Identifier' ? [] : filter.args
    return this.#operate(name, this.evaluate(operand, scope), args, scope, (subject, checked) =>
      super.evaluate(
        { type: 'FilterExpression', operand: subject, filter: filter.type === 'Identifier' ? filter : { ...filter, args: checked } },
        scope,
      ),
    )
  }

  #call(node: Node, scope: Scope): Value {
    refuseUnpacking(node.args)
    if (node.callee.type !== 'MemberExpression' || node.callee.property.type === 'SliceExpression') return super.evaluate(node, scope)
    const { object, property, computed } = node.callee
    const key = computed ? this.evaluate(property, scope) : stringValue(property.value)
    const callee = (subject: Node) => {
      const method = { ...node.callee, object: subject, property: constant(key), computed: true }
      return constant(super.evaluate(method, scope))
    }
    return this.#operate(String(key.value), this.evaluate(object, scope), node.args, scope, (subject, args) =>
      super.evaluate({ ...node, callee: callee(subject), args }, scope),
    )
  }

  /**
   * Runs a filter or method: checked before it can make too much, and run on the text behind the disguise if that would
   * change its result.
   */
  #operate(name: string, subject: Value, args: readonly Node[], scope: Scope, run: (subject: Node, args: readonly Node[]) => Value): Value {
    refuseUnpacking(args)
    const hidden = typeof subject.value === 'string' && !BLIND.has(name) && this.#disguise.isCovered(subject.value)
    if (!hidden && !WATCHED.has(name)) return run(constant(subject), args)
    const values = args.map((arg) => this.evaluate(arg.type === 'KeywordArgumentExpression' ? arg.value : arg, scope))
    const plain = hidden ? this.#reveal(subject) : subject
    const plainValues = hidden ? values.map((value) => this.#reveal(value)) : values
    if (WATCHED.has(name)) this.#checkGrowth(name, plain, plainValues)
    const checked = args.map((arg, index) => {
      const value = constant(plainValues[index]!)
      return arg.type === 'KeywordArgumentExpression' ? { ...arg, value } : value
    })
    const result = run(constant(plain), checked)
    return hidden ? this.#cover(result) : result
  }

  /** Refuses a result that would be too large: a number of places, each filled with at most the largest argument. */
  #checkGrowth(name: string, subject: Value, args: readonly Value[]): void {
    const text = textOf(subject)
    const pattern = textOf(args[0])
    if (name === 'split' || name === 'replace') this.#budget.checkSearch(text, pattern)
    const { characters, nodes, depth } = this.#budget.measure(subject)
    const places = {
      split: () => 0,
      replace: () => text.split(pattern).length,
      indent: () => text.split('\n').length,
      join: () => itemsOf(subject) + text.length,
      tojson: () => nodes * (depth + 1),
    }[name] as () => number
    const largest = Math.max(4, ...args.map((arg) => (typeof arg.value === 'number' ? arg.value : this.#budget.measure(arg).characters)))
    this.#budget.checkLength(characters + places() * largest)
  }

  /** Allows a method only where it is called: one kept in a variable would evade the checks. */
  #member(node: Node, scope: Scope): Value {
    const value = super.evaluate(node, scope)
    if (value.type === 'FunctionValue') throw new Error('a method that is not called')
    return value
  }

  #reveal(value: Value): Value {
    return typeof value.value === 'string' ? stringValue(this.#disguise.reveal(value.value)) : value
  }

  /** Reveals a text, or the texts in a list. */
  #revealItems(value: Value): Value {
    const { value: items } = value
    const isHidden = Array.isArray(items) && items.some((item) => typeof item.value === 'string' && this.#disguise.isCovered(item.value))
    return isHidden ? arrayValue(items.map((item) => this.#reveal(item))) : this.#reveal(value)
  }

  #cover(value: Value): Value {
    if (typeof value.value === 'string') return stringValue(this.#disguise.cover(value.value))
    return Array.isArray(value.value) ? arrayValue(value.value.map((item) => this.#cover(item))) : value
  }
}

/** A node for a value that is evaluated already. */
function constant(value: Value): Node {
  return { type: 'Constant', value }
}

/** Whether a node finds an existing value, and makes none. */
function looksUp(node: Node | undefined): boolean {
  return node?.type === 'Identifier' || (node?.type === 'MemberExpression' && node.property.type !== 'SliceExpression')
}

/** The text of a value; empty if it is not a text. */
function textOf(value: Value | undefined): string {
  return typeof value?.value === 'string' ? value.value : ''
}

/** Refuses `f(*list)`, which multiplies lists without a step in between; no chat template needs it. */
function refuseUnpacking(args: readonly Node[]): void {
  if (args.some((arg) => arg.type === 'SpreadExpression' || arg.type === 'KeywordSpreadExpression')) {
    throw new Error('* or ** in the arguments of a call')
  }
}

/** Python's range, with a limit. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  const count = Math.max(0, Math.ceil((stop - start) / step))
  if (!(count <= LONGEST_RANGE)) throw new Error(`a range of ${count} numbers`)
  return Array.from({ length: count }, (_, index) => start + index * step)
}

function raiseException(message: unknown): never {
  throw new TemplateRefusal(String(message ?? ''))
}
