// The limits of a chat template: steps, time, nesting, and the size of what it makes. Templates come from untrusted
// files. Does not know what the steps do.

const MOST_STEPS = 1_000_000
const MOST_MILLISECONDS = 1000
/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 16
/** Characters made or searched between two looks at the clock. */
const WORK_PER_LOOK = 2 ** 18
const DEEPEST = 300
const MOST_ITEMS = 65_536
/** Largest length of one text in characters, in addition to a multiple of the messages' own length. */
const LONGEST_TEXT = 2 ** 20
/** Largest size of everything made in one rendering, in characters. An item of a list counts as several. */
const MOST_MADE = 2 ** 26
const CHARACTERS_PER_ITEM = 8
/** Largest text length times pattern length: the worst case of the engines' search. */
const LONGEST_SEARCH = 2 ** 28

/** A template that would take too long, or too much memory. */
export class WorkLimit extends Error {}

/** The budget of one rendering, in either language. */
export class WorkBudget {
  readonly #longest: number
  readonly #mostMade: number
  readonly #deadline = performance.now() + MOST_MILLISECONDS
  #steps = 0
  #made = 0
  #madeAtLook = 0
  #depth = 0

  /** @param characters total length of the messages, which the template may repeat a few times */
  constructor(characters: number) {
    this.#longest = LONGEST_TEXT + 8 * characters
    this.#mostMade = MOST_MADE + 64 * characters
  }

  /** Counts a step, and checks the time. */
  countStep(): void {
    if (++this.#steps > MOST_STEPS) throw new WorkLimit(`more than ${MOST_STEPS} steps`)
    if (this.#steps % STEPS_PER_LOOK === 0) this.#look()
  }

  /** Counts a step that has others inside. `leave` ends it. */
  enter(): void {
    this.countStep()
    if (++this.#depth > DEEPEST) throw new WorkLimit(`nested deeper than ${DEEPEST}`)
  }

  leave(): void {
    this.#depth--
  }

  /** Counts characters that are made or searched. */
  spend(characters: number): void {
    this.#made += characters
    if (this.#made > this.#mostMade) throw new WorkLimit('too much text in total')
    if (this.#made - this.#madeAtLook > WORK_PER_LOOK) this.#look()
  }

  /** Checks the length of a text before it is made. */
  checkLength(characters: number): void {
    if (characters > this.#longest) throw new WorkLimit(`a text of ${characters} characters, expected at most ${this.#longest}`)
  }

  /** Checks a text before it is made, and counts it. */
  make(characters: number): void {
    this.checkLength(characters)
    this.spend(characters)
  }

  /** Checks a list before it is made, and counts it. */
  makeItems(count: number): void {
    if (count > MOST_ITEMS) throw new WorkLimit(`a list of ${count} items`)
    this.spend(count * CHARACTERS_PER_ITEM)
  }

  /** Checks the time of a search before it begins. */
  checkSearch(text: string, pattern: string): void {
    if (pattern.length <= text.length && text.length * pattern.length > LONGEST_SEARCH) {
      throw new WorkLimit(`a search for ${pattern.length} characters in ${text.length}`)
    }
    this.spend(text.length)
  }

  #look(): void {
    this.#madeAtLook = this.#made
    if (performance.now() > this.#deadline) throw new WorkLimit(`more than ${MOST_MILLISECONDS} ms`)
  }
}
