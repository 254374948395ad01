// What scores of choices say: which choice is taken, the accuracy and its standard error, and those of groups, all by
// lm-eval's definitions. Pure.

/** An accuracy. */
export interface Accuracy {
  /** The share of items whose right choice was taken. */
  readonly value: number
  /** Its standard error: the sample's standard deviation over the root of its size. Undefined for a single item. */
  readonly stderr: number | undefined
}

/** The scores of some items: of a subject, a group, or all. */
export interface AccuracyOf {
  readonly name: string
  readonly items: number
  readonly acc: Accuracy
}

/** The place of the largest value, the first of equals, as numpy's `argmax`: NaN is larger than all. */
export function largest(values: readonly number[]): number {
  let best = 0
  for (const [i, value] of values.entries()) {
    if (Number.isNaN(values[best])) break
    if (Number.isNaN(value) || value > values[best]!) best = i
  }
  return best
}

/** The choice that is taken by score, and by score per character. */
export function taken(scores: readonly number[], lengths: readonly number[]): { readonly byScore: number; readonly byCharacter: number } {
  return { byScore: largest(scores), byCharacter: largest(scores.map((score, i) => score / lengths[i]!)) }
}

/** Counts right answers. */
export class AnswerCount {
  #items = 0
  #right = 0

  add(isRight: boolean): void {
    this.#items++
    if (isRight) this.#right++
  }

  get items(): number {
    return this.#items
  }

  /** Of at least one item. */
  get accuracy(): Accuracy {
    const [n, right] = [this.#items, this.#right]
    const mean = right / n
    const squares = right * (1 - mean) ** 2 + (n - right) * mean ** 2
    return { value: mean, stderr: n > 1 ? Math.sqrt(squares / (n - 1)) / Math.sqrt(n) : undefined }
  }
}

/** The accuracy of several parts together: weighted by size, with the pooled variance of the parts. */
export function pooled(parts: readonly Omit<AccuracyOf, 'name'>[]): Accuracy {
  let [items, sum, squares] = [0, 0, 0]
  let isKnown = true
  for (const { items: size, acc } of parts) {
    items += size
    sum += acc.value * size
    if (acc.stderr === undefined) isKnown = false
    else squares += (size - 1) * acc.stderr ** 2 * size
  }
  const variance = squares / (items - parts.length)
  return { value: sum / items, stderr: isKnown ? Math.sqrt(variance / items) : undefined }
}
