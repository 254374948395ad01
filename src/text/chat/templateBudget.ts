// The limits of a chat template: steps, time, nesting, and the size of what it makes. Templates come from untrusted
// files, and the interpreter of Jinja has no limits of its own. Does not know what the steps do.

import type { Value } from './jinja.js'

const MOST_STEPS = 1_000_000
const MOST_MILLISECONDS = 1000
const DEEPEST_CALL = 300
const MOST_ITEMS = 65_536
const DEEPEST_LIST = 64
/** Largest length of one text in characters, in addition to a multiple of the messages' own length. */
const LONGEST_TEXT = 2 ** 20
/** Largest size of everything made in one rendering, in characters. An item of a list counts as several. */
const MOST_MADE = 2 ** 26
const CHARACTERS_PER_ITEM = 8
/** Largest text length times pattern length: the worst case of the engines' search. */
const LONGEST_SEARCH = 2 ** 28

/** The size of a value: its characters, its nodes, and the depth of its nesting. */
interface Size {
  readonly characters: number
  readonly nodes: number
  readonly depth: number
}

const SMALL: Size = { characters: 8, nodes: 1, depth: 0 }

/** The budget of one rendering, in either language. */
export class WorkBudget {
  readonly #longest: number
  readonly #mostMade: number
  readonly #deadline = performance.now() + MOST_MILLISECONDS
  #steps = 0
  #made = 0

  /** @param characters total length of the messages, which the template may repeat a few times */
  constructor(characters: number) {
    this.#longest = LONGEST_TEXT + 8 * characters
    this.#mostMade = MOST_MADE + 64 * characters
  }

  /** Counts a step, and checks the time. */
  countStep(): void {
    if (++this.#steps > MOST_STEPS) throw new Error(`more than ${MOST_STEPS} steps`)
    if (performance.now() > this.#deadline) throw new Error(`more than ${MOST_MILLISECONDS} ms`)
  }

  /** Counts characters that are made or searched. */
  spend(characters: number): void {
    this.#made += characters
    if (this.#made > this.#mostMade) throw new Error('too much text in total')
  }

  /** Checks the length of a text before it is made. */
  checkLength(characters: number): void {
    if (characters > this.#longest) throw new Error(`a text of ${characters} characters, expected at most ${this.#longest}`)
  }
}

export class TemplateBudget extends WorkBudget {
  /** The sizes of lists and objects, which do not change once they are made. */
  readonly #sizes = new WeakMap<Value, Size>()
  #depth = 0

  /** Runs one step of the interpreter, other steps inside it, and checks the size of its result. */
  step(run: () => Value): Value {
    this.countStep()
    if (++this.#depth > DEEPEST_CALL) throw new Error(`nested deeper than ${DEEPEST_CALL}`)
    try {
      const value = run()
      this.checkLength(this.measure(value).characters)
      return value
    } finally {
      this.#depth-- // also when a loop is left with `break`
    }
  }

  /** Counts a value that was made, and not only looked up. */
  charge(value: Value): void {
    if (typeof value.value === 'string') this.spend(value.value.length)
    else this.chargeItems(itemsOf(value))
  }

  /** Counts values that are made for each of a number of items. */
  chargeItems(count: number): void {
    this.spend(count * CHARACTERS_PER_ITEM)
  }

  /** Checks the time of a search before it begins. */
  checkSearch(text: string, pattern: string): void {
    if (pattern.length <= text.length && text.length * pattern.length > LONGEST_SEARCH) {
      throw new Error(`a search for ${pattern.length} characters in ${text.length}`)
    }
  }

  /** The size of a value. A namespace inside a list or object is refused: it can change, so the size would not hold. */
  measure(value: Value): Size {
    if (typeof value.value === 'string') return { characters: value.value.length, nodes: 1, depth: 0 }
    if (typeof value.value !== 'object' || value.value === null) return SMALL
    const known = this.#sizes.get(value)
    if (known !== undefined) return known
    const size = this.#sum(childrenOf(value))
    if (value.type !== 'NamespaceValue') this.#sizes.set(value, size)
    return size
  }

  #sum(children: readonly Value[]): Size {
    if (children.length > MOST_ITEMS) throw new Error(`a list of ${children.length} items`)
    let characters = 8
    let nodes = 1
    let depth = 0
    for (const child of children) {
      if (child.type === 'NamespaceValue') throw new Error('a namespace inside a list or object')
      const size = this.measure(child)
      characters += size.characters
      nodes += size.nodes
      depth = Math.max(depth, size.depth + 1)
    }
    if (depth > DEEPEST_LIST) throw new Error(`lists nested deeper than ${DEEPEST_LIST}`)
    return { characters, nodes, depth }
  }
}

/** The number of items in a list, or of entries in an object; 0 for any other value. */
export function itemsOf(value: Value): number {
  if (Array.isArray(value.value)) return value.value.length
  return value.value instanceof Map ? value.value.size : 0
}

function childrenOf(value: Value): readonly Value[] {
  if (Array.isArray(value.value)) return value.value
  return value.value instanceof Map ? [...value.value.values()] : []
}
