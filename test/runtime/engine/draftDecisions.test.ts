// Whether drafts run where they pay: texts that quote and texts that do not, with the runtime's own lookup, decisions
// and estimates, on a machine that is computed: rows take what they took where it was measured, and experts that are
// not in memory are read, each once for a step. What was decided is compared with no drafts, and with drafts wherever
// there are some. TELL=1 prints how many times as fast they are.

import { expect, test } from 'vitest'
import { Drafting } from '../../../dist/runtime/engine/drafting.js'
import { Request } from '../../../dist/runtime/engine/request.js'
import { Scheduler, type Share } from '../../../dist/runtime/engine/scheduler.js'
import { StepCost } from '../../../dist/runtime/engine/stepCost.js'
import { Random } from '../../../dist/runtime/sampler/random.js'
import { Drafter } from '../../../dist/text/generate/drafter.js'
import { PromptLookup } from '../../../dist/text/generate/promptLookup.js'

const LIMITS = { sequences: 1, batchSize: 128, kvTokens: 8192, pairs: 256, expertsPerToken: 2 }
const [LAYERS, EXPERTS, USED] = [8, 8, 2]
const PROMPT = 600
const ANSWER = 900

interface Machine {
  /** Milliseconds of a row by itself. */
  readonly rowMs: number
  /** Milliseconds to read an expert. */
  readonly readMs: number
  /** How much of all experts is in memory. */
  readonly resident: number
}

/** How much of an answer is quoted from the prompt, and how long quotations are. */
interface Text {
  readonly quoted: number
  readonly length: number
}

/** A prompt and its answer, of tokens that come again and again as in a language. */
function written({ quoted, length }: Text): { prompt: number[]; answer: number[] } {
  const random = new Random(5)
  const token = () => Math.floor(2000 * random.next() ** 3)
  const prompt = Array.from({ length: PROMPT }, token)
  const answer: number[] = []
  while (answer.length < ANSWER) {
    const at = Math.floor(random.next() * (PROMPT - length))
    if (random.next() < quoted) answer.push(...prompt.slice(at, at + length))
    else answer.push(...Array.from({ length }, token))
  }
  return { prompt, answer }
}

/** The experts in memory: those that were used last. */
class Experts {
  readonly #slots: number
  readonly #resident = new Set<number>()

  constructor(resident: number) {
    this.#slots = Math.max(USED * 16, Math.floor(resident * LAYERS * EXPERTS))
  }

  /** How many are read for a step of these tokens. */
  read(tokens: readonly number[]): number {
    let read = 0
    for (let layer = 0; layer < LAYERS; layer++) {
      const wanted = new Set(tokens.flatMap((id) => expertsOf(id, layer)))
      for (const expert of wanted) {
        if (this.#resident.delete(expert)) continue
        read++
        if (this.#resident.size >= this.#slots) this.#resident.delete(this.#resident.values().next().value!)
      }
      for (const expert of wanted) this.#resident.add(expert)
    }
    return read
  }
}

function expertsOf(id: number, layer: number): number[] {
  const first = (Math.imul(id + 1, 0x9e3779b1 + 2 * layer) >>> 7) % EXPERTS
  const second = (first + 1 + ((Math.imul(id + 3, 0x85ebca6b + 2 * layer) >>> 9) % (EXPERTS - 1))) % EXPERTS
  return [first, second].map((expert) => layer * EXPERTS + expert)
}

const measured = [1, 1.68, 2.9, 4.76, 7.4]

/** What rows take in memory, as it was measured of a Mixtral. */
function inMemory(rows: number): number {
  const at = Math.log2(rows)
  const below = Math.min(measured.length - 2, Math.floor(at))
  return measured[below]! * (measured[below + 1]! / measured[below]!) ** (at - below)
}

/** Milliseconds in which the answer is written. */
function time(text: Text, { rowMs, readMs, resident }: Machine, setting: boolean | undefined): number {
  const { prompt, answer } = written(text)
  const scheduler = new Scheduler(LIMITS)
  const cost = new StepCost(undefined)
  const drafting = new Drafting(scheduler, cost, setting, () => 0)
  const drafter = new Drafter({ forces: false, endIds: new Set() }, new PromptLookup(prompt.length))
  const experts = new Experts(resident)
  const draft = (ids: readonly number[], most: number) => drafter.draft(ids, Math.min(most, PROMPT + ANSWER - ids.length - 1))
  const request = new Request({ ids: [...prompt, answer[0]!], from: PROMPT, draft, ended: () => {} }, 0, LIMITS)
  scheduler.add(request)
  let all = 0
  while (request.ids.length < PROMPT + ANSWER) {
    const [planned] = scheduler.plan(() => LIMITS.batchSize) as [Share]
    const decodes = request.remaining === 1
    const [share] = (decodes ? drafting.extend([planned]) : [planned]) as [Share]
    const own = request.ids.slice(request.done, request.done + share.rows - share.draft.length)
    const reads = experts.read([...own, ...share.draft])
    scheduler.ran(share)
    if (request.remaining > 0) continue
    const left = answer.slice(request.ids.length - PROMPT)
    const wrong = share.draft.findIndex((id, i) => id !== left[i])
    const accepted = wrong < 0 ? share.draft.length : wrong
    request.ids.push(...left.slice(0, accepted + 1))
    if (share.draft.length > 0) drafting.ran(share, accepted)
    if (!decodes) continue
    const ms = rowMs * inMemory(share.rows) + readMs * reads
    cost.add(share.rows, ms, true)
    all += ms
  }
  return all
}

const memory = { rowMs: 100, readMs: 0, resident: 1 }
const texts: readonly Text[] = [
  { quoted: 0.9, length: 60 },
  { quoted: 0.6, length: 25 },
  { quoted: 0.3, length: 12 },
  { quoted: 0, length: 10 },
]
/** How many times as fast each text is written at least. */
const machines: [name: string, Machine, least: readonly number[]][] = [
  ['all in memory', memory, [1.45, 1.07, 1, 0.995]],
  ['most experts in memory, where drafts hardly pay', { rowMs: 100, readMs: 20, resident: 0.75 }, [0.98, 0.94, 0.98, 0.995]],
  ['half of the experts in memory', { rowMs: 100, readMs: 20, resident: 0.5 }, [1.27, 1, 0.98, 0.995]],
  ['half of the experts in memory, and a slow disk', { rowMs: 20, readMs: 50, resident: 0.5 }, [1.2, 0.96, 0.97, 0.995]],
]

test.each(machines)('drafts run where they pay, with %s', (_, machine, least) => {
  for (const [i, text] of texts.entries()) {
    const [never, always, bySelf] = [false, true, undefined].map((setting) => time(text, machine, setting)) as [number, number, number]
    if (process.env.TELL) console.log(`always ${(never / always).toFixed(3)}, by itself ${(never / bySelf).toFixed(3)}`)
    expect(never / bySelf).toBeGreaterThan(least[i]!)
  }
})
