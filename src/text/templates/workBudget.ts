// The limits of a chat template: steps, time, nesting, and the size of what it makes. Templates come from untrusted
// files. Steps and sizes are those of one rendering; the time is that of all renderings of a chat. Does not know what
// the steps do.

import { limits } from '../../base/limits.js'

const MOST_STEPS = limits.templateSteps.most
const MOST_MILLISECONDS = limits.templateTime.most
/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 16
/** Characters made or searched between two looks at the clock. */
const WORK_PER_LOOK = 2 ** 18
const DEEPEST = limits.templateNesting.most
const MOST_ITEMS = limits.templateItems.most
/** Largest length of one text in characters, in addition to a multiple of the messages' own length. */
const LONGEST_TEXT = limits.templateText.most
/** Largest size of everything made in one rendering, in characters. An item of a list counts as several. */
const MOST_MADE = limits.templateMade.most
const CHARACTERS_PER_ITEM = 8
/** Largest text length times pattern length: the worst case of the engines' search. */
const LONGEST_SEARCH = 2 ** 28

/** A template that would take too long, or too much memory. */
export class WorkLimit extends Error {
  /** Whether the time of the chat is over, so that nothing else can be rendered. */
  readonly isOfTime: boolean

  constructor(message: string, isOfTime = false) {
    super(message)
    this.isOfTime = isOfTime
  }
}

/** The part of a budget that a trial has: a rendering of a few words, to find out what a template does. */
const TRIAL_SHARE = limits.templateTrial.most

/** The time of all renderings of a chat together. What is done between them does not count. */
export class ChatBudget {
  /** By which the budget of the rendering that runs now is divided. */
  share = 1
  #left = MOST_MILLISECONDS
  #deadline = performance.now() + MOST_MILLISECONDS

  /** Runs a rendering, whose time counts. */
  during<T>(render: () => T, isTrial = false): T {
    this.share = isTrial ? TRIAL_SHARE : 1
    this.#deadline = performance.now() + this.#left
    try {
      return render()
    } finally {
      this.share = 1
      this.#left = this.#deadline - performance.now()
    }
  }

  /** Throws a WorkLimit when it is over. */
  check(): void {
    if (performance.now() > this.#deadline) throw new WorkLimit(`more than ${MOST_MILLISECONDS} ms`, true)
  }
}

/** The budget of one rendering, in either language. */
export class WorkBudget {
  readonly #mostSteps: number
  readonly #longest: number
  readonly #mostMade: number
  readonly #time: ChatBudget
  #steps = 0
  #made = 0
  #madeAtLook = 0
  #depth = 0

  /**
   * @param characters total length of the messages, which the template may repeat a few times
   * @param time what is left for it and other renderings
   */
  constructor(characters: number, time = new ChatBudget()) {
    this.#time = time
    this.#mostSteps = MOST_STEPS / time.share
    this.#longest = LONGEST_TEXT / time.share + 8 * characters
    this.#mostMade = MOST_MADE / time.share + 64 * characters
  }

  /** Counts a step, and checks the time. */
  countStep(): void {
    if (++this.#steps > this.#mostSteps) throw new WorkLimit(`more than ${this.#mostSteps} steps`)
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
    this.#time.check()
  }
}
