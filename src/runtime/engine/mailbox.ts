// The operands of a command, in words that main and the threads share. Main writes them while the threads wait; the
// threads read them while main waits. Owns their offsets. Does not know what a command does.

import type { Step } from '../model/step.js'

/** Commands of the model's team. 0 is LEAVE (team/control.ts). */
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

export function createMailbox(batchSize: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer((field.tokens + batchSize) * 4))
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

/** part: the number of the part that the next check is about (check/weightParts.ts). */
export function writePart(mailbox: Int32Array, part: number): void {
  mailbox[field.part] = part
}

export function readPart(mailbox: Int32Array): number {
  return mailbox[field.part]!
}
