// What main tells the threads about a step, in shared words. Main writes it while the threads wait; they read it while main waits.

/** Commands of the model's team (team/control.ts: 0 is LEAVE). */
export const command = { load: 1, step: 2 } as const

/** Offsets into the mailbox. */
const field = { count: 0, position: 1, firstLayer: 2, endLayer: 3, embed: 4, logits: 5, tokens: 8 } as const

/**
 * One pass through layers firstLayer .. endLayer for `count` consecutive positions. embed: start from `tokens`; otherwise the residual stream is already in place.
 * logits: the number of last positions that get logits.
 */
export interface Step {
  readonly count: number
  readonly position: number
  readonly firstLayer: number
  readonly endLayer: number
  readonly embed: boolean
  readonly logits: number
  readonly tokens: ArrayLike<number>
}

export function createMailbox(batch: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer((field.tokens + batch) * 4))
}

export function writeStep(mailbox: Int32Array, step: Step): void {
  mailbox[field.count] = step.count
  mailbox[field.position] = step.position
  mailbox[field.firstLayer] = step.firstLayer
  mailbox[field.endLayer] = step.endLayer
  mailbox[field.embed] = Number(step.embed)
  mailbox[field.logits] = step.logits
  mailbox.set(step.tokens, field.tokens)
}

export function readStep(mailbox: Int32Array): Step {
  const count = mailbox[field.count]!
  return {
    count,
    position: mailbox[field.position]!,
    firstLayer: mailbox[field.firstLayer]!,
    endLayer: mailbox[field.endLayer]!,
    embed: mailbox[field.embed] === 1,
    logits: mailbox[field.logits]!,
    tokens: mailbox.subarray(field.tokens, field.tokens + count),
  }
}
