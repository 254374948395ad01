// What main tells the threads about a step, in shared words. Main writes it while the threads wait; they read it while main waits.

/** Commands of the model's team (team/control.ts: 0 is LEAVE). */
export const command = { load: 1, step: 2, check: 3 } as const

/** Offsets into the mailbox. */
const field = {
  count: 0,
  position: 1,
  firstLayer: 2,
  endLayer: 3,
  embed: 4,
  logits: 5,
  firstStage: 6,
  endStage: 7,
  traced: 8,
  part: 9,
  tokens: 16,
} as const

/** The stages of a layer. Between any two of them a step may end and the next begin. */
export const stage = { norm: 0, project: 1, rotate: 2, attend: 3, projectOutput: 4, route: 5, experts: 6 } as const

export const STAGES = 7

/**
 * One pass through layers firstLayer .. endLayer for `count` consecutive positions. embed: start from `tokens`; otherwise the residual stream is already in place.
 * logits: the number of last positions that get logits. The first layer begins with its stage `firstStage`, the last ends before its stage `endStage`: 0 and STAGES
 * are all of it. traced: what experts make of their inputs is taken along when their outputs are, so that it can be read.
 */
export interface Step {
  readonly count: number
  readonly position: number
  readonly firstLayer: number
  readonly endLayer: number
  readonly embed: boolean
  readonly logits: number
  readonly firstStage: number
  readonly endStage: number
  readonly traced: boolean
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
  mailbox[field.firstStage] = step.firstStage
  mailbox[field.endStage] = step.endStage
  mailbox[field.traced] = Number(step.traced)
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
    firstStage: mailbox[field.firstStage]!,
    endStage: mailbox[field.endStage]!,
    traced: mailbox[field.traced] === 1,
    tokens: mailbox.subarray(field.tokens, field.tokens + count),
  }
}

/** Which part of the weights the next check is of (weightParts.ts). */
export function writePart(mailbox: Int32Array, part: number): void {
  mailbox[field.part] = part
}

export function readPart(mailbox: Int32Array): number {
  return mailbox[field.part]!
}
