// A regular expression for names of modules, as PEFT takes them for ranks and alphas. Owns its grammar, the part of
// Python's that such patterns need: characters, classes, groups, alternatives, repetition. What is beyond it is
// refused, not read otherwise. The time is by the lengths of pattern and name, whatever they are: both come from files.

/** Whether a character may stand at a place. */
type Accepts = (character: string) => boolean

const digits: Accepts = (c) => /\d/.test(c)
const letters: Accepts = (c) => /\w/.test(c)
const anything: Accepts = () => true

class Unsupported extends Error {}

export class ModulePattern {
  readonly #text: string
  #at = 0
  /** By state: the states that follow without a character, and the one that follows a character. */
  readonly #free: number[][] = []
  readonly #step: ({ readonly accepts: Accepts; readonly to: number } | undefined)[] = []
  readonly #first: number
  readonly #last: number
  /** Whether it must match from the beginning of a name, not just from a dot on. */
  readonly #isWhole: boolean
  #depth = 0
  #isOneOfSeveral = false

  private constructor(text: string) {
    this.#isWhole = text.startsWith('^')
    this.#text = text.slice(this.#isWhole ? 1 : 0).replace(/(?<!\\)\$$/, '')
    this.#first = this.#state()
    this.#last = this.#alternatives(this.#first)
    const isPart = this.#isWhole && this.#isOneOfSeveral // the sign is of the first alternative only
    if (isPart || this.#at < this.#text.length) throw new Unsupported()
  }

  /** Undefined for a pattern that is malformed, or beyond the grammar. */
  static read(text: string): ModulePattern | undefined {
    try {
      return new ModulePattern(text)
    } catch (error) {
      if (error instanceof Unsupported) return undefined
      throw error
    }
  }

  /** Whether a name ends in what is described, from its beginning or from a dot on. */
  matches(name: string): boolean {
    const marks = new Int32Array(this.#free.length) // the step by which a state was entered last
    let states: number[] = []
    for (let at = 0; ; at++) {
      if (at === 0 || (!this.#isWhole && name[at - 1] === '.')) this.#enter(this.#first, states, marks, at + 1)
      if (at === name.length) return marks[this.#last] === at + 1
      const next: number[] = []
      for (const state of states) {
        const step = this.#step[state]
        if (step?.accepts(name[at]!)) this.#enter(step.to, next, marks, at + 2)
      }
      states = next
    }
  }

  /** Adds a state, and those that follow it without a character. */
  #enter(state: number, states: number[], marks: Int32Array, mark: number): void {
    if (marks[state] === mark) return
    marks[state] = mark
    for (let i = states.push(state) - 1; i < states.length; i++) {
      for (const next of this.#free[states[i]!]!) {
        if (marks[next] === mark) continue
        marks[next] = mark
        states.push(next)
      }
    }
  }

  #state(): number {
    this.#step.push(undefined)
    return this.#free.push([]) - 1
  }

  #link(from: number, to: number): void {
    this.#free[from]!.push(to)
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  // Each of these reads a part that begins in a state, and returns the state in which it ends.

  #alternatives(from: number): number {
    const end = this.#state()
    do {
      let at = from
      while (this.#at < this.#text.length && !'|)'.includes(this.#text[this.#at]!)) at = this.#repeated(at)
      this.#link(at, end)
      this.#isOneOfSeveral ||= this.#depth === 0 && this.#text[this.#at] === '|'
    } while (this.#take('|'))
    return end
  }

  #repeated(before: number): number {
    const from = this.#state()
    this.#link(before, from)
    const to = this.#atom(from)
    const end = this.#state()
    this.#link(to, end)
    const sign = /[*+?]/.exec(this.#text[this.#at] ?? '')?.[0]
    if (sign === undefined) return end
    this.#at++
    if (sign !== '+') this.#link(from, end)
    if (sign !== '?') this.#link(to, from)
    this.#take('?') // as few as possible: of the same names
    if ('*+?{'.includes(this.#text[this.#at] ?? ' ')) throw new Unsupported()
    return end
  }

  #atom(from: number): number {
    if (this.#take('(')) {
      if (this.#take('?') && !this.#take(':')) throw new Unsupported()
      this.#depth++
      const end = this.#alternatives(from)
      this.#depth--
      if (!this.#take(')')) throw new Unsupported()
      return end
    }
    const to = this.#state()
    this.#step[from] = { accepts: this.#character(), to }
    return to
  }

  #character(): Accepts {
    if (this.#take('.')) return anything
    if (this.#take('[')) return this.#class()
    if (this.#take('\\')) return this.#escaped()
    const character = this.#text[this.#at++]!
    if (!/[\w-]/.test(character)) throw new Unsupported()
    return (c) => c === character
  }

  #escaped(): Accepts {
    const character = this.#text[this.#at++] ?? ''
    if (character === 'd') return digits
    if (character === 'w') return letters
    if (!/[^\w\s]/.test(character)) throw new Unsupported() // letters mean more than themselves, digits are groups
    return (c) => c === character
  }

  /** Single characters and ranges of digits or letters, such as `[0-9]` and `[qkv]`. */
  #class(): Accepts {
    const [all, not, members] = /^(\^?)((?:[0-9]-[0-9]|[a-z]-[a-z]|[A-Z]-[A-Z]|[\w.])+)\]/.exec(this.#text.slice(this.#at)) ?? []
    if (all === undefined) throw new Unsupported()
    this.#at += all.length
    const parts = members!.match(/.-.|./g)!
    const isIn: Accepts = (c) => parts.some((part) => c >= part[0]! && c <= part.at(-1)!)
    return not === '' ? isIn : (c) => !isIn(c)
  }
}
